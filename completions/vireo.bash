# SPDX-License-Identifier: Apache-2.0
# Made from a template and vireo's tables: make update-docs
#
# bash completion for vireo: options, the names that their first value may
# have, properties and their words.

_vireo_options="
	-M
	-machine
	-accel
	-enable-kvm
	-cpu
	-smp
	-m
	-name
	-uuid
	-smbios
	-kernel
	-initrd
	-append
	-dtb
	-device
	-global
	-blockdev
	-drive
	-snapshot
	-netdev
	-chardev
	-object
	-serial
	-nographic
	-display
	-vga
	-parallel
	-monitor
	-net
	-nic
	-nodefaults
	-no-user-config
	-no-reboot
	-no-shutdown
	-action
	-daemonize
	-pidfile
	-sandbox
	-d
	-D
	-version
	-h
	-help
"

# OPTION -> its name and how its argument is completed: text, file or list
_vireo_kind()
{
	case $1 in
	M|machine) echo 'M list' ;;
	accel) echo 'accel list' ;;
	cpu) echo 'cpu list' ;;
	smp) echo 'smp list' ;;
	m) echo 'm list' ;;
	name) echo 'name list' ;;
	uuid) echo 'uuid text' ;;
	smbios) echo 'smbios text' ;;
	kernel) echo 'kernel file' ;;
	initrd) echo 'initrd file' ;;
	append) echo 'append text' ;;
	dtb) echo 'dtb file' ;;
	device) echo 'device list' ;;
	global) echo 'global list' ;;
	blockdev) echo 'blockdev list' ;;
	drive) echo 'drive list' ;;
	netdev) echo 'netdev list' ;;
	chardev) echo 'chardev list' ;;
	object) echo 'object list' ;;
	serial) echo 'serial list' ;;
	display) echo 'display list' ;;
	vga) echo 'vga list' ;;
	parallel) echo 'parallel list' ;;
	monitor) echo 'monitor list' ;;
	net) echo 'net list' ;;
	nic) echo 'nic list' ;;
	action) echo 'action list' ;;
	pidfile) echo 'pidfile file' ;;
	sandbox) echo 'sandbox list' ;;
	d) echo 'd list' ;;
	D) echo 'D file' ;;
	esac
}

# OPTION -> names
_vireo_names()
{
	case $1 in
	M) echo 'microvm help' ;;
	accel) echo 'kvm help' ;;
	cpu) echo 'host max qemu64 kvm64 x86-64-v1 x86-64-v2 x86-64-v3 x86-64-v4 Haswell Haswell-noTSX Skylake-Server Icelake-Server EPYC EPYC-Rome EPYC-Milan help' ;;
	device) echo 'virtio-blk-device virtio-net-device i8042 isa-serial virtio-console-device isa-debug-exit pvpanic virtio-rng-device help' ;;
	blockdev) echo 'file host_device null-co overlay raw help' ;;
	netdev) echo 'tap help' ;;
	chardev) echo 'file null pipe pty socket stdio help' ;;
	object) echo 'memory-backend-file memory-backend-memfd memory-backend-ram rng-builtin rng-random help' ;;
	serial) echo 'stdio none null pty file: pipe: unix: tcp: chardev: ' ;;
	display) echo 'none ' ;;
	vga) echo 'none ' ;;
	parallel) echo 'none ' ;;
	monitor) echo 'none ' ;;
	net) echo 'none ' ;;
	nic) echo 'none ' ;;
	d) echo 'guest_errors unimp kvm boot io jail time all help' ;;
	esac
}

# OPTION,NAME -> properties
_vireo_props()
{
	case $1 in
	M,microvm) echo 'accel= acpi= dumpdtb= i8042= isa-serial= kaslr= kernel-cache= kernel-irqchip= memory-backend= pic= pit= rtc= help' ;;
	accel,*) echo 'accel= ' ;;
	smp,*) echo 'cores= cpus= dies= maxcpus= sockets= threads= ' ;;
	m,*) echo 'size= ' ;;
	name,*) echo 'guest= process= ' ;;
	device,virtio-blk-device) echo 'id= bus= config-wce= discard= drive= event_idx= indirect_desc= logical_block_size= max-discard-sectors= max-write-zeroes-sectors= min_io_size= num-queues= opt_io_size= packed= physical_block_size= queue-size= queue_reset= seg-max-adjust= serial= write-cache= write-zeroes= help' ;;
	device,virtio-net-device) echo 'id= bus= csum= ctrl_guest_offloads= ctrl_mac_addr= ctrl_rx= ctrl_rx_extra= ctrl_vlan= ctrl_vq= duplex= event_idx= gso= guest_csum= guest_ecn= guest_tso4= guest_tso6= guest_ufo= guest_uso4= guest_uso6= host_ecn= host_mtu= host_tso4= host_tso6= host_ufo= host_uso= indirect_desc= mac= mq= mrg_rxbuf= netdev= packed= queue_reset= rx_queue_size= speed= status= tx_queue_size= help' ;;
	device,i8042) echo 'id= bus= kbd-irq= help' ;;
	device,isa-serial) echo 'id= bus= chardev= index= iobase= irq= help' ;;
	device,virtio-console-device) echo 'id= bus= chardev= event_idx= indirect_desc= packed= queue_reset= help' ;;
	device,isa-debug-exit) echo 'id= bus= iobase= iosize= help' ;;
	device,pvpanic) echo 'id= bus= events= ioport= help' ;;
	device,virtio-rng-device) echo 'id= bus= event_idx= indirect_desc= max-bytes= packed= period= queue_reset= rng= help' ;;
	global,*) echo 'driver= property= value= ' ;;
	blockdev,file) echo 'aio= cache.direct= cache.no-flush= detect-zeroes= discard= filename= locking= node-name= read-only= help' ;;
	blockdev,host_device) echo 'aio= cache.direct= cache.no-flush= detect-zeroes= discard= filename= locking= node-name= read-only= help' ;;
	blockdev,null-co) echo 'cache.direct= cache.no-flush= detect-zeroes= discard= latency-ns= node-name= read-only= read-zeroes= size= help' ;;
	blockdev,overlay) echo 'cache.direct= cache.no-flush= detect-zeroes= discard= file= node-name= read-only= help' ;;
	blockdev,raw) echo 'cache.direct= cache.no-flush= detect-zeroes= discard= file= node-name= offset= read-only= size= help' ;;
	drive,*) echo 'aio= cache= detect-zeroes= discard= file= format= id= if= index= media= read-only= readonly= serial= snapshot= ' ;;
	netdev,tap) echo 'id= downscript= fd= fds= ifname= queues= script= vhost= help' ;;
	chardev,file) echo 'id= append= input-path= path= help' ;;
	chardev,null) echo 'id= help' ;;
	chardev,pipe) echo 'id= path= help' ;;
	chardev,pty) echo 'id= help' ;;
	chardev,socket) echo 'id= fd= host= nodelay= path= port= server= wait= help' ;;
	chardev,stdio) echo 'id= signal= help' ;;
	object,memory-backend-file) echo 'id= dump= mem-path= merge= prealloc= share= size= help' ;;
	object,memory-backend-memfd) echo 'id= dump= hugetlb= hugetlbsize= merge= prealloc= seal= share= size= help' ;;
	object,memory-backend-ram) echo 'id= dump= merge= prealloc= share= size= help' ;;
	object,rng-builtin) echo 'id= help' ;;
	object,rng-random) echo 'id= filename= help' ;;
	action,*) echo 'panic= reboot= shutdown= ' ;;
	sandbox,*) echo 'elevateprivileges= enable= obsolete= resourcecontrol= spawn= ' ;;
	esac
}

# OPTION,NAME,PROPERTY -> words
_vireo_words()
{
	case $1 in
	M,microvm,acpi) echo 'auto on off ' ;;
	M,microvm,i8042) echo 'on off ' ;;
	M,microvm,isa-serial) echo 'on off ' ;;
	M,microvm,kaslr) echo 'on off ' ;;
	M,microvm,kernel-irqchip) echo 'split on ' ;;
	M,microvm,pic) echo 'on off ' ;;
	M,microvm,pit) echo 'on off ' ;;
	M,microvm,rtc) echo 'on off ' ;;
	device,virtio-blk-device,config-wce) echo 'on off ' ;;
	device,virtio-blk-device,discard) echo 'on off ' ;;
	device,virtio-blk-device,event_idx) echo 'on off ' ;;
	device,virtio-blk-device,indirect_desc) echo 'on off ' ;;
	device,virtio-blk-device,packed) echo 'on off ' ;;
	device,virtio-blk-device,queue_reset) echo 'on off ' ;;
	device,virtio-blk-device,seg-max-adjust) echo 'on off ' ;;
	device,virtio-blk-device,write-cache) echo 'auto on off ' ;;
	device,virtio-blk-device,write-zeroes) echo 'on off ' ;;
	device,virtio-net-device,csum) echo 'on off ' ;;
	device,virtio-net-device,ctrl_guest_offloads) echo 'on off ' ;;
	device,virtio-net-device,ctrl_mac_addr) echo 'on off ' ;;
	device,virtio-net-device,ctrl_rx) echo 'on off ' ;;
	device,virtio-net-device,ctrl_rx_extra) echo 'on off ' ;;
	device,virtio-net-device,ctrl_vlan) echo 'on off ' ;;
	device,virtio-net-device,ctrl_vq) echo 'on off ' ;;
	device,virtio-net-device,duplex) echo 'unknown half full ' ;;
	device,virtio-net-device,event_idx) echo 'on off ' ;;
	device,virtio-net-device,gso) echo 'on off ' ;;
	device,virtio-net-device,guest_csum) echo 'on off ' ;;
	device,virtio-net-device,guest_ecn) echo 'on off ' ;;
	device,virtio-net-device,guest_tso4) echo 'on off ' ;;
	device,virtio-net-device,guest_tso6) echo 'on off ' ;;
	device,virtio-net-device,guest_ufo) echo 'on off ' ;;
	device,virtio-net-device,guest_uso4) echo 'on off ' ;;
	device,virtio-net-device,guest_uso6) echo 'on off ' ;;
	device,virtio-net-device,host_ecn) echo 'on off ' ;;
	device,virtio-net-device,host_tso4) echo 'on off ' ;;
	device,virtio-net-device,host_tso6) echo 'on off ' ;;
	device,virtio-net-device,host_ufo) echo 'on off ' ;;
	device,virtio-net-device,host_uso) echo 'on off ' ;;
	device,virtio-net-device,indirect_desc) echo 'on off ' ;;
	device,virtio-net-device,mq) echo 'on off ' ;;
	device,virtio-net-device,mrg_rxbuf) echo 'on off ' ;;
	device,virtio-net-device,packed) echo 'on off ' ;;
	device,virtio-net-device,queue_reset) echo 'on off ' ;;
	device,virtio-net-device,status) echo 'on off ' ;;
	device,virtio-console-device,event_idx) echo 'on off ' ;;
	device,virtio-console-device,indirect_desc) echo 'on off ' ;;
	device,virtio-console-device,packed) echo 'on off ' ;;
	device,virtio-console-device,queue_reset) echo 'on off ' ;;
	device,virtio-rng-device,event_idx) echo 'on off ' ;;
	device,virtio-rng-device,indirect_desc) echo 'on off ' ;;
	device,virtio-rng-device,packed) echo 'on off ' ;;
	device,virtio-rng-device,queue_reset) echo 'on off ' ;;
	blockdev,*,cache.direct) echo 'on off ' ;;
	blockdev,*,cache.no-flush) echo 'on off ' ;;
	blockdev,*,detect-zeroes) echo 'off ' ;;
	blockdev,*,discard) echo 'ignore unmap ' ;;
	blockdev,*,read-only) echo 'on off ' ;;
	blockdev,file,aio) echo 'io_uring ' ;;
	blockdev,file,locking) echo 'auto on off ' ;;
	blockdev,host_device,aio) echo 'io_uring ' ;;
	blockdev,host_device,locking) echo 'auto on off ' ;;
	blockdev,null-co,read-zeroes) echo 'on off ' ;;
	drive,*,cache) echo 'writeback none writethrough directsync unsafe ' ;;
	drive,*,if) echo 'virtio none ' ;;
	drive,*,media) echo 'disk ' ;;
	drive,*,read-only) echo 'on off ' ;;
	drive,*,readonly) echo 'on off ' ;;
	drive,*,snapshot) echo 'on off ' ;;
	netdev,tap,downscript) echo 'no ' ;;
	netdev,tap,vhost) echo 'off ' ;;
	chardev,file,append) echo 'on off ' ;;
	chardev,socket,nodelay) echo 'on off ' ;;
	chardev,socket,server) echo 'on off ' ;;
	chardev,socket,wait) echo 'on off ' ;;
	chardev,stdio,signal) echo 'on off ' ;;
	object,memory-backend-file,dump) echo 'on off ' ;;
	object,memory-backend-file,merge) echo 'on off ' ;;
	object,memory-backend-file,prealloc) echo 'on off ' ;;
	object,memory-backend-file,share) echo 'on off ' ;;
	object,memory-backend-memfd,dump) echo 'on off ' ;;
	object,memory-backend-memfd,hugetlb) echo 'on off ' ;;
	object,memory-backend-memfd,merge) echo 'on off ' ;;
	object,memory-backend-memfd,prealloc) echo 'on off ' ;;
	object,memory-backend-memfd,seal) echo 'on off ' ;;
	object,memory-backend-memfd,share) echo 'on off ' ;;
	object,memory-backend-ram,dump) echo 'on off ' ;;
	object,memory-backend-ram,merge) echo 'on off ' ;;
	object,memory-backend-ram,prealloc) echo 'on off ' ;;
	object,memory-backend-ram,share) echo 'on off ' ;;
	action,*,panic) echo 'shutdown pause exit-failure none ' ;;
	action,*,reboot) echo 'reset shutdown ' ;;
	action,*,shutdown) echo 'poweroff pause ' ;;
	sandbox,*,elevateprivileges) echo 'deny ' ;;
	sandbox,*,enable) echo 'on log off ' ;;
	sandbox,*,obsolete) echo 'deny ' ;;
	sandbox,*,resourcecontrol) echo 'deny ' ;;
	sandbox,*,spawn) echo 'deny ' ;;
	esac
}

# What may follow in a list WORD of OPTION: whole words, a line each.
_vireo_list()
{
	local option=$1 word=$2 piece=${2##*,} first name head prop

	head=${word%"$piece"}
	first=${word%%,*}
	name=${first#*=}
	case $piece in
	file=*|filename=*|path=*|mem-path=*|dumpdtb=*)
		compgen -f -P "$head${piece%%=*}=" -- "${piece#*=}"
		;;
	*=*)
		prop=${piece%%=*}
		compgen -P "$head$prop=" \
			-W "$(_vireo_words "$option,$name,$prop")" \
			-- "${piece#*=}"
		;;
	*)
		if [ -z "$head" ]; then
			compgen -W "$(_vireo_names "$option")" -- "$piece"
			name=
		fi
		compgen -P "$head" -W "$(_vireo_props "$option,$name")" \
			-- "$piece"
		;;
	esac
}

_vireo()
{
	local line=${COMP_LINE:0:COMP_POINT} word before option reply broken i
	local -a words kind

	word=${line##*[[:space:]]}
	before=${line%"$word"}
	read -ra words <<<"$before"
	COMPREPLY=()
	i=$((${#words[@]} - 1))
	option=${words[i]#-}
	read -ra kind <<<"$(_vireo_kind "${option#-}")"
	if ((i > 0)) && [[ ${words[i]} == -* && -n ${kind[0]} ]]; then
		case ${kind[1]} in
		file)
			compopt -o filenames 2>/dev/null
			mapfile -t COMPREPLY < <(compgen -f -- "$word")
			return
			;;
		list)
			mapfile -t reply < <(_vireo_list "${kind[0]}" "$word")
			;;
		*)
			return
			;;
		esac
		# Readline breaks words at '=' and ':', too.
		broken=${word%"${word##*[=:]}"}
		COMPREPLY=("${reply[@]#"$broken"}")
		compopt -o nospace 2>/dev/null
		return
	fi
	((i == 0)) && mapfile -t COMPREPLY < <(compgen -W doctor -- "$word")
	mapfile -t -O ${#COMPREPLY[@]} COMPREPLY \
		< <(compgen -W "$_vireo_options" -- "$word")
}

complete -F _vireo vireo
