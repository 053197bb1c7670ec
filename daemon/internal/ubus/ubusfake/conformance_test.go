package ubusfake_test

import (
	"os"
	"strings"
	"testing"
)

// The beginning of most conversations: a publishes an object, b and c are there.
const published = `
	a > ADD_OBJECT path=demo.one sig={"m":{"x":5}}
	a < DATA obj=$one type=$sig
	a < STATUS status=0
`

const subscribed = published + `
	b > ADD_OBJECT
	b < DATA obj=$sub
	b < STATUS status=0
	b > SUBSCRIBE obj=$sub target=$one
	b < STATUS status=0
	a < NOTIFY seq=1 peer=0 obj=$one active=1
`

const listening = `
	a > ADD_OBJECT
	a < DATA obj=$ear
	a < STATUS status=0
	a > INVOKE peer=1 obj=1 method=register data={"object":"$ear","pattern":"demo.*"}
	a < STATUS peer=1 status=0
`

// TestConformance holds what a client can see of ubusd. Every line was found
// out on the real one, which runs the same table.
func TestConformance(t *testing.T) {
	for _, tt := range []struct{ name, script string }{
		{"a ping comes back with its peer and body, then a status", `
			a > PING peer=0xdeadbeef data={"n":1}
			a < DATA peer=0xdeadbeef data={"n":1}
			a < STATUS peer=0xdeadbeef status=0
			a > PING seq=0
			a < DATA seq=0
			a < STATUS seq=0 status=0
			a > PING seq=65535
			a < DATA seq=65535
			a < STATUS seq=65535 status=0`},
		{"what is no request is an invalid command", `
			a > TYPE77
			a < STATUS status=1
			a > HELLO
			a < STATUS status=1
			a > MONITOR
			a < STATUS status=1`},
		{"requests without what they need are invalid arguments", `
			a > INVOKE
			a < STATUS status=2
			a > INVOKE obj=5000
			a < STATUS status=2
			a > LOOKUP path=
			a < STATUS status=2
			a > REMOVE_OBJECT
			a < STATUS status=2
			a > SUBSCRIBE obj=5000
			a < STATUS status=2
			a > UNSUBSCRIBE target=5000
			a < STATUS status=2
			a > NOTIFY obj=5000
			a < STATUS status=2`},
		{"unknown ids are not found", `
			a > INVOKE peer=5000 obj=5000 method=x data={}
			a < STATUS peer=5000 status=4
			a > REMOVE_OBJECT obj=5000
			a < STATUS status=4
			a > SUBSCRIBE obj=5000 target=5001
			a < STATUS status=4
			a > UNSUBSCRIBE obj=5000 target=5001
			a < STATUS status=4
			a > NOTIFY obj=5000 method=x
			a < STATUS status=4
			a > LOOKUP path=demo
			a < STATUS status=4
			a > LOOKUP path=demo*
			a < STATUS status=4
			a > LOOKUP path=*
			a < STATUS status=4
			a > LOOKUP
			a < STATUS status=0`},
		{"a frame that claims too little or too much ends the connection", `
			a > RAW 000300010000000000000003
			a < END
			b > RAW 000300010000000000100001
			b < END
			c > PING
			c < DATA
			c < STATUS status=0`},
		{"attributes of the wrong type are absent", `
			a > ADD_OBJECT path=demo.one sig={}
			a < DATA obj=$one type=$t
			a < STATUS status=0
			a > LOOKUP rawpath=6e756c2d6c657373
			a < DATA path=demo.one obj=$one type=$t sig={}
			a < STATUS status=0`},
		{"objects are found by path, prefix and all, in order", published + `
			a > ADD_OBJECT path=demo sig={}
			a < DATA obj=$demo type=$empty
			a < STATUS status=0
			b > ADD_OBJECT path=another type=$sig
			b < DATA obj=$another
			b < STATUS status=0
			c > LOOKUP path=demo.one
			c < DATA path=demo.one obj=$one type=$sig sig={"m":{"x":5}}
			c < STATUS status=0
			c > LOOKUP path=demo*
			c < DATA path=demo obj=$demo type=$empty sig={}
			c < DATA path=demo.one obj=$one type=$sig sig={"m":{"x":5}}
			c < STATUS status=0
			c > LOOKUP
			c < DATA path=another obj=$another type=$sig sig={"m":{"x":5}}
			c < DATA path=demo obj=$demo type=$empty sig={}
			c < DATA path=demo.one obj=$one type=$sig sig={"m":{"x":5}}
			c < STATUS status=0`},
		{"an object without a signature is found and not shown", `
			a > ADD_OBJECT path=demo.bare
			a < DATA obj=$bare
			a < STATUS status=0
			b > LOOKUP path=demo.bare
			b < STATUS status=0
			b > LOOKUP path=demo*
			b < STATUS status=0
			b > LOOKUP
			b < STATUS status=0
			b > INVOKE obj=$bare method=x data={}
			a < INVOKE seq=4 peer=$b obj=$bare method=x user=root group=root data={}`},
		{"an unknown type or a bad signature makes an object without one", `
			a > ADD_OBJECT path=demo.x type=77
			a < DATA obj=$x
			a < STATUS status=0
			a > ADD_OBJECT path=demo.y rawsig=85000008000000010000
			a < DATA obj=$y
			a < STATUS status=0
			a > LOOKUP
			a < STATUS status=0`},
		{"a name exists once, and is free again when its owner goes", published + `
			b > ADD_OBJECT path=demo.one sig={}
			b < STATUS status=2
			a > ADD_OBJECT path=demo.one sig={}
			a < STATUS status=2
			a > REMOVE_OBJECT obj=$one
			a < DATA obj=$one type=$sig
			a < STATUS status=0
			b > ADD_OBJECT path=demo.one sig={}
			b < DATA obj=$two type=$other
			b < STATUS status=0`},
		{"a type dies with its last object, and an object is removed by its owner", published + `
			a > ADD_OBJECT path=demo.two type=$sig
			a < DATA obj=$two
			a < STATUS status=0
			b > REMOVE_OBJECT obj=$one
			b < STATUS status=6
			a > REMOVE_OBJECT obj=$one
			a < DATA obj=$one
			a < STATUS status=0
			a > REMOVE_OBJECT obj=$two
			a < DATA obj=$two type=$sig
			a < STATUS status=0
			b > LOOKUP
			b < STATUS status=0`},
		{"a call goes to the owner with the caller's id, number and names", published + `
			b > INVOKE seq=7 peer=$one obj=$one method=m user=forged data={"x":1}
			a < INVOKE seq=7 peer=$b obj=$one method=m user=root group=root data={"x":1}
			a > DATA seq=7 peer=$b obj=$one data={"y":2}
			b < DATA seq=7 peer=$one obj=$one data={"y":2}
			a > STATUS seq=7 peer=$b status=0 obj=$one
			b < STATUS seq=7 peer=$one status=0 obj=$one`},
		{"a call without data arrives without", published + `
			b > INVOKE obj=$one method=m
			a < INVOKE peer=$b obj=$one method=m user=root group=root`},
		{"answers that claim another object, or lack something, are dropped", published + `
			b > ADD_OBJECT path=demo.two sig={}
			b < DATA obj=$two type=$empty
			b < STATUS status=0
			c > INVOKE seq=9 peer=$one obj=$one method=m data={}
			a < INVOKE seq=9 peer=$c obj=$one method=m user=root group=root data={}
			b > STATUS seq=9 peer=$c status=3 obj=$one
			a > STATUS seq=9 peer=$c status=3 obj=$two
			a > STATUS seq=9 peer=$c status=3
			a > STATUS seq=9 peer=$c obj=$one
			a > DATA seq=9 peer=$c obj=$one
			a > STATUS seq=9 peer=4242 status=3 obj=$one
			a < NOTHING
			b < NOTHING
			c < NOTHING
			a > STATUS seq=9 peer=$c status=0 obj=$one
			c < STATUS seq=9 peer=$one status=0 obj=$one`},
		{"a callee that goes leaves its callers without an answer", published + `
			b > INVOKE peer=$one obj=$one method=m data={}
			a < INVOKE peer=$b obj=$one method=m user=root group=root data={}
			b > ADD_OBJECT
			b < DATA obj=$ear
			b < STATUS status=0
			b > INVOKE peer=1 obj=1 method=register data={"object":"$ear","pattern":"ubus.object.remove"}
			b < STATUS peer=1 status=0
			a > CLOSE
			b < INVOKE peer=0 obj=$ear method=ubus.object.remove data={"id":"$one","path":"demo.one"}
			b < NOTHING
			b > INVOKE peer=$one obj=$one method=m data={}
			b < STATUS peer=$one status=4`},
		{"the first subscriber makes the owner active, the last makes it idle", subscribed + `
			c > ADD_OBJECT
			c < DATA obj=$sub2
			c < STATUS status=0
			c > SUBSCRIBE obj=$sub2 target=$one
			c < STATUS status=0
			a < NOTHING
			b > UNSUBSCRIBE obj=$sub target=$one
			b < STATUS status=0
			a < NOTHING
			c > UNSUBSCRIBE obj=$sub2 target=$one
			c < STATUS status=0
			a < NOTIFY seq=2 peer=0 obj=$one active=0
			c > UNSUBSCRIBE obj=$sub2 target=$one
			c < STATUS status=4`},
		{"a notification names its subscribers and brings their answers", subscribed + `
			a > NOTIFY seq=5 peer=$one obj=$one method=changed data={"n":1}
			a < STATUS seq=5 peer=$one obj=$one subscribers=1 status=0
			b < INVOKE seq=5 peer=$a obj=$sub method=changed user=root group=root data={"n":1}
			b > STATUS seq=5 peer=$a status=0 obj=$sub
			a < STATUS seq=5 peer=$sub status=0 obj=$sub`},
		{"a notification without answer has none", subscribed + `
			a > NOTIFY seq=5 peer=$one obj=$one method=changed data={"n":1} noreply=1
			b < INVOKE seq=5 peer=$a noreply=1 obj=$sub method=changed user=root group=root data={"n":1}
			a < NOTHING`},
		{"a notification by somebody else is refused", subscribed + `
			b > NOTIFY obj=$one method=changed data={}
			b < STATUS status=6
			a < NOTHING`},
		{"a subscriber hears that its target goes, the owner that it is idle", subscribed + `
			a > REMOVE_OBJECT obj=$one
			a < DATA obj=$one type=$sig
			a < NOTIFY seq=2 peer=0 obj=$one active=0
			a < STATUS status=0
			b < UNSUBSCRIBE seq=1 peer=0 obj=$sub target=$one`},
		{"a subscriber hears that the owner hung up", subscribed + `
			a > CLOSE
			b < UNSUBSCRIBE seq=1 peer=0 obj=$sub target=$one`},
		{"an owner hears that its subscriber hung up", subscribed + `
			b > CLOSE
			a < NOTIFY seq=2 peer=0 obj=$one active=0`},
		{"subscribing twice notifies twice", subscribed + `
			b > SUBSCRIBE obj=$sub target=$one
			b < STATUS status=0
			a > NOTIFY seq=5 peer=$one obj=$one method=m data={}
			a < STATUS seq=5 peer=$one obj=$one subscribers=2 status=0
			b < INVOKE seq=5 peer=$a obj=$sub method=m user=root group=root data={}
			b < INVOKE seq=5 peer=$a obj=$sub method=m user=root group=root data={}`},
		{"own targets, other's subscribers and the broker's objects cannot be subscribed", subscribed + `
			a > SUBSCRIBE obj=$one target=$one
			a < STATUS status=2
			c > SUBSCRIBE obj=$sub target=$one
			c < STATUS status=2
			c > UNSUBSCRIBE obj=$sub target=$one
			c < STATUS status=2
			b > SUBSCRIBE obj=$sub target=1
			b < STATUS status=4
			b > SUBSCRIBE obj=1 target=$one
			b < STATUS status=2
			b > REMOVE_OBJECT obj=1
			b < STATUS status=6
			b > NOTIFY obj=1 method=x data={}
			b < STATUS status=6`},
		{"an event reaches who matches, once, and not its sender", listening + `
			a > INVOKE peer=1 obj=1 method=register data={"object":"$ear","pattern":"demo.hello"}
			a < STATUS peer=1 status=0
			b > INVOKE peer=1 obj=1 method=send data={"id":"demo.hello","data":{"n":1}}
			b < STATUS peer=1 status=0
			a < INVOKE peer=0 obj=$ear method=demo.hello data={"n":1}
			b > INVOKE peer=1 obj=1 method=send data={"id":"demos","data":{}}
			b < STATUS peer=1 status=0
			b > INVOKE peer=1 obj=1 method=send data={"id":"demo.","data":{}}
			b < STATUS peer=1 status=0
			a < INVOKE peer=0 obj=$ear method=demo. data={}
			a > INVOKE peer=1 obj=1 method=send data={"id":"demo.own","data":{}}
			a < STATUS peer=1 status=0
			a > STATUS seq=1 peer=0 status=0 obj=$ear
			a < NOTHING
			b < NOTHING`},
		{"event requests are checked", listening + `
			a > INVOKE obj=1 method=nosuch data={}
			a < STATUS status=1
			a > INVOKE obj=1 method=send
			a < STATUS status=2
			a > INVOKE obj=1 method=send data={"id":"x"}
			a < STATUS status=2
			a > INVOKE obj=1 method=send data={"id":"x","data":5}
			a < STATUS status=2
			a > INVOKE obj=1 method=send data={"id":"ubus.fake","data":{}}
			a < STATUS status=6
			a > INVOKE obj=1 method=register data={"object":1,"pattern":"x"}
			a < STATUS status=6
			a > INVOKE obj=1 method=register data={"object":5000,"pattern":"x"}
			a < STATUS status=4
			a > INVOKE obj=1 method=register data={"object":"$ear","pattern":""}
			a < STATUS status=6
			b > INVOKE obj=1 method=register data={"object":"$ear","pattern":"x"}
			b < STATUS status=6
			b > INVOKE obj=1 method=register data={"object":"text","pattern":"x"}
			b < STATUS status=2`},
		{"objects with a path come and go with an event", listening + `
			a > INVOKE peer=1 obj=1 method=register data={"object":"$ear","pattern":"ubus.object.*"}
			a < STATUS peer=1 status=0
			b > ADD_OBJECT path=demo.two sig={}
			b < DATA obj=$two type=$t
			b < STATUS status=0
			a < INVOKE peer=0 obj=$ear method=ubus.object.add data={"id":"$two","path":"demo.two"}
			b > ADD_OBJECT
			b < DATA obj=$three
			b < STATUS status=0
			b > REMOVE_OBJECT obj=$two
			b < DATA obj=$two type=$t
			b < STATUS status=0
			a < INVOKE peer=0 obj=$ear method=ubus.object.remove data={"id":"$two","path":"demo.two"}
			a > ADD_OBJECT path=demo.own sig={}
			a < INVOKE peer=0 obj=$ear method=ubus.object.add data={"id":"$own","path":"demo.own"}
			a < DATA obj=$own type=$t2
			a < STATUS status=0
			a < NOTHING`},
		{"a pattern dies with its object", listening + `
			a > REMOVE_OBJECT obj=$ear
			a < DATA obj=$ear
			a < STATUS status=0
			b > INVOKE peer=1 obj=1 method=send data={"id":"demo.hello","data":{"n":1}}
			b < STATUS peer=1 status=0
			a < NOTHING`},
		{"there are no access lists to query", `
			a > INVOKE peer=2 obj=2 method=query data={}
			a < DATA peer=2 obj=0x00000002 data={"seq":0,"acl":[]}
			a < STATUS peer=2 status=0
			a > INVOKE obj=2 method=nosuch data={}
			a < STATUS status=1`},
		{"a monitor sees what comes in and goes out", `
			a > INVOKE obj=3 method=add data={}
			a < MONITOR seq=1 0=$a 1=0x00000000 3=0x00000001 4=0x00000001 2=0x01 5=0x0100000800000000
			a < STATUS status=0`},
		{"a monitor stops when it wants", `
			a > INVOKE obj=3 method=nosuch data={}
			a < STATUS status=3
			a > INVOKE obj=3 method=remove data={}
			a < STATUS status=0`},
		{"a user without rights may do next to nothing", published + `
			nobody > LOOKUP path=demo.one
			nobody < STATUS status=0
			nobody > LOOKUP
			nobody < STATUS status=0
			nobody > INVOKE peer=$one obj=$one method=m data={}
			nobody < STATUS peer=$one status=6
			nobody > ADD_OBJECT path=demo.two sig={}
			nobody < STATUS status=2
			nobody > ADD_OBJECT
			nobody < DATA obj=$n
			nobody < STATUS status=0
			nobody > SUBSCRIBE obj=$n target=$one
			nobody < STATUS status=4
			nobody > INVOKE obj=1 method=send data={"id":"x","data":{}}
			nobody < STATUS status=6
			nobody > INVOKE obj=1 method=register data={"object":"$n","pattern":"x"}
			nobody < STATUS status=6
			nobody > INVOKE obj=3 method=add data={}
			nobody < STATUS status=6`},
		{"a user without rights sees objects without methods and may call nameless ones", `
			a > ADD_OBJECT path=demo.bare sig={}
			a < DATA obj=$bare type=$t
			a < STATUS status=0
			a > ADD_OBJECT
			a < DATA obj=$nameless
			a < STATUS status=0
			nobody > LOOKUP
			nobody < DATA path=demo.bare obj=$bare type=$t sig={}
			nobody < STATUS status=0
			nobody > INVOKE seq=9 obj=$nameless method=m data={}
			a < INVOKE seq=9 peer=$nobody obj=$nameless method=m user=nobody group=nogroup data={}
			nobody > ADD_OBJECT
			nobody < DATA obj=$n
			nobody < STATUS status=0
			nobody > SUBSCRIBE obj=$n target=$nameless
			nobody < STATUS status=4`},
		{"two requests at once are answered in order", published + `
			b > PING seq=10
			b > LOOKUP seq=11 path=demo.one
			b > PING seq=12
			b < DATA seq=10
			b < STATUS seq=10 status=0
			b < DATA seq=11 path=demo.one obj=$one type=$sig sig={"m":{"x":5}}
			b < STATUS seq=11 status=0
			b < DATA seq=12
			b < STATUS seq=12 status=0`},
		{"another version is no reason for anything, and comes back", `
			a > RAW 010300010000000000000004
			a < DATA seq=1
			a < STATUS seq=1 status=0`},
		{"a root attribute need not be padded", `
			a > RAW 00030001000000000000000d0700000968656c6c6f
			a < DATA seq=1 data=68656c6c6f
			a < STATUS seq=1 status=0
			a > PING
			a < DATA
			a < STATUS status=0`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if strings.Contains(tt.script, "nobody") && os.Geteuid() != 0 {
				t.Skip("needs root to connect as another user")
			}
			onEach(t, func(t *testing.T, socket string) { runScript(t, socket, tt.script) })
		})
	}
}
