#!/bin/sh
# A protocol handler for the real netifd in tests: what OpenWrt's modemmanager.sh
# reports, without a modem. $RIG holds the bus (sock), and fail when a setup shall
# end with the error that it names. Actions: openwrt/netifd proto-ext.c.
[ "$2" = dump ] && {
	echo '{"name":"modemmanager","config":[["device:device",3],["apn",3],["pincode",3]],"no-device":true,"available":false}'
	exit
}
I=$3
notify() { ubus -s "$RIG/sock" call network.interface notify_proto "$1"; }
case "$2" in
setup)
	[ -e "$RIG/fail" ] && {
		notify "{\"action\":3,\"interface\":\"$I\",\"error\":[\"$(cat "$RIG/fail")\"]}"
		notify "{\"action\":4,\"interface\":\"$I\"}"
		exit 1
	}
	notify "{\"action\":0,\"interface\":\"$I\",\"link-up\":true,\"ifname\":\"wwan0\",\"keep\":true,\"ipaddr\":[{\"ipaddr\":\"10.64.0.2\",\"mask\":\"30\"}],\"routes\":[{\"target\":\"0.0.0.0\",\"netmask\":\"0\",\"gateway\":\"10.64.0.1\"}],\"dns\":[\"10.64.0.53\"]}"
	;;
teardown)
	notify "{\"action\":0,\"interface\":\"$I\",\"link-up\":false}"
	;;
esac
