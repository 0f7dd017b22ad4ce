/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Malformed: every rule of the wire format, broken, in both byte orders. Whoever breaks one is
 * disconnected without a word; nobody else notices. What looks odd but is legal passes.
 */

#include "compat-tests/scenario.h"

#define I     "com.example.If"
#define WATCH "w: AddMatch s interface='" I "' ->"
#define LITTLE(message) "a: " message, "a? closed"
#define BIG(message)    "b! connect", "b! hello", "b! big", "b: " message, "b? closed"

/* a message that ends the connection */
#define CLOSES(name, message) { name, TALK(WATCH, LITTLE(message), BIG(message), "w? nothing") }
#define SIGNAL "signal " I ".Sig "

/* a message that arrives */
#define PASSES(name, message, expected) \
        { name, TALK(WATCH, "a: " message, "w? " expected, "b! connect", "b! hello", "b! big", \
                     "b: " message, "w? " expected) }

#define V8 "v v v v v v v v "

static const struct scenario scenarios[] = {
        /* the fixed header */
        CLOSES("an unknown byte order", SIGNAL "patch=0:78"),
        CLOSES("message type 0", "type=0 path=/x"),
        CLOSES("protocol version 0", SIGNAL "version=0"),
        CLOSES("protocol version 2", SIGNAL "version=2"),
        CLOSES("serial 0", SIGNAL "serial=0"),
        CLOSES("serial 0 in a call to the bus", "GetId serial=0"),
        CLOSES("a header array of more than 64 MiB", SIGNAL "fieldlen=67108865"),
        CLOSES("a body that makes the message larger than 128 MiB", SIGNAL "bodylen=134217728"),
        CLOSES("lengths that wrap around 2^32", SIGNAL "bodylen=4294967295"),
        CLOSES("a header array that ends within a field", SIGNAL "fieldlen=21 s hello"),
        CLOSES("padding in the header that is not zero", SIGNAL "patch=30:01"),
        CLOSES("padding before the body that is not zero", SIGNAL "patch=-5:01 u 1"),

        /* header fields */
        CLOSES("field code 0", SIGNAL "field=0:s:x"),
        CLOSES("the path twice", SIGNAL "field=1:o:/test"),
        CLOSES("the interface twice", SIGNAL "field=2:s:" I),
        CLOSES("the member twice", SIGNAL "field=3:s:Sig"),
        CLOSES("the error's name twice", "error a.b reply=1 to=w field=4:s:a.b"),
        CLOSES("the reply serial twice", "return reply=1 to=w field=5:u:1"),
        CLOSES("the destination twice", SIGNAL "to=w field=6:s:a.b"),
        CLOSES("the sender twice", SIGNAL "from=a.b field=7:s:a.b"),
        CLOSES("the signature twice", SIGNAL "field=8:g:u u 1"),
        CLOSES("the path as a string", "signal " I ".Sig path=- field=1:s:/test"),
        CLOSES("the interface as an object path", "signal Sig field=2:o:/test"),
        CLOSES("the member as an object path", "call path=/test to=w field=3:o:/test"),
        CLOSES("the error's name as a signature", "error reply=1 to=w field=4:g:s"),
        CLOSES("the reply serial as a string", "return reply=- to=w field=5:s:1"),
        CLOSES("the reply serial as a 64-bit number", "return reply=- to=w field=5:t:1"),
        CLOSES("the destination as an object path", SIGNAL "field=6:o:/test"),
        CLOSES("the sender as an object path", SIGNAL "field=7:o:/test"),
        CLOSES("the signature as a string", SIGNAL "field=8:s:u sig=-"),
        CLOSES("the number of descriptors as a byte", SIGNAL "field=9:y:0"),
        CLOSES("a field with two values", SIGNAL "field=100:uu:1"),
        CLOSES("a field without a type", SIGNAL "field=100::1"),
        CLOSES("an unknown field with an invalid value", SIGNAL "field=100:s:%ff"),
        CLOSES("an unknown field with an invalid type", SIGNAL "field=100:z:1"),

        /* what each type must have */
        CLOSES("a call without a path", "call " I ".Do to=w path=-"),
        CLOSES("a call without a member", "call to=w if=" I),
        CLOSES("a signal without a path", "signal " I ".Sig path=-"),
        CLOSES("a signal without an interface", "signal Sig"),
        CLOSES("a signal without a member", "signal if=" I),
        CLOSES("a return without a reply serial", "return to=w reply=-"),
        CLOSES("an error without a reply serial", "error a.b to=w reply=-"),
        CLOSES("an error without a name", "error to=w reply=1"),
        CLOSES("reply serial 0", "return to=w reply=0"),
        CLOSES("more descriptors than are attached", SIGNAL "fds=1 attach=0"),

        /* names */
        CLOSES("an empty path", SIGNAL "path="),
        CLOSES("a path without a slash", SIGNAL "path=x"),
        CLOSES("a path that ends in a slash", SIGNAL "path=/x/"),
        CLOSES("a path with an empty element", SIGNAL "path=/x//y"),
        CLOSES("a path with a dash", SIGNAL "path=/x-y"),
        CLOSES("a path that is not ASCII", SIGNAL "path=/%c3%a9"),
        CLOSES("the path of Local", SIGNAL "path=/org/freedesktop/DBus/Local"),
        CLOSES("an empty interface", "signal Sig if="),
        CLOSES("an interface of one element", "signal Sig if=com"),
        CLOSES("an interface with an empty element", "signal Sig if=com..example"),
        CLOSES("an interface that begins with a dot", "signal Sig if=.com.example"),
        CLOSES("an interface that ends in a dot", "signal Sig if=com.example."),
        CLOSES("an interface with a digit first", "signal Sig if=com.1example"),
        CLOSES("an interface with a dash", "signal Sig if=com.exam-ple"),
        CLOSES("an interface of 256 characters", "signal Sig if=com.${x*252}"),
        CLOSES("the interface of Local", "signal Sig if=org.freedesktop.DBus.Local"),
        CLOSES("an empty member", "signal if=" I " member="),
        CLOSES("a member with a dot", "signal if=" I " member=a.b"),
        CLOSES("a member with a digit first", "signal if=" I " member=1a"),
        CLOSES("a member with a dash", "signal if=" I " member=a-b"),
        CLOSES("a member of 256 characters", SIGNAL "member=${x*256}"),
        CLOSES("an empty error name", "error to=w reply=1 name="),
        CLOSES("an error name of one element", "error to=w reply=1 name=bad"),
        CLOSES("an error name with a dash", "error to=w reply=1 name=a.b-c"),
        CLOSES("an empty destination", SIGNAL "to="),
        CLOSES("a destination of one element", SIGNAL "to=com"),
        CLOSES("a destination with an empty element", SIGNAL "to=com..example"),
        CLOSES("a destination with a digit first", SIGNAL "to=com.1example"),
        CLOSES("a destination with a slash", SIGNAL "to=com.exa/mple"),
        CLOSES("a destination of 256 characters", SIGNAL "to=com.${x*252}"),
        CLOSES("an invalid sender", SIGNAL "from=com"),

        /* signatures */
        CLOSES("a body without a signature", SIGNAL "sig=- u 1"),
        CLOSES("a signature without a body", SIGNAL "sig=u"),
        CLOSES("bytes after the last argument", SIGNAL "sig=u uu 1 2"),
        CLOSES("an argument that is cut off", SIGNAL "sig=uu u 1"),
        CLOSES("an unknown type", SIGNAL "sig=z u 1"),
        CLOSES("an array of nothing", SIGNAL "sig=a u 0"),
        CLOSES("an empty struct", SIGNAL "sig=() t 0"),
        CLOSES("a struct that does not end", SIGNAL "sig=(u u 1"),
        CLOSES("a struct that does not begin", SIGNAL "sig=u) u 1"),
        CLOSES("a dict entry outside of an array", SIGNAL "sig={uu} uu 1 2"),
        CLOSES("a dict entry with a container for a key", SIGNAL "sig=a{vu} u 0"),
        CLOSES("a dict entry with one type", SIGNAL "sig=a{u} u 0"),
        CLOSES("a dict entry with three types", SIGNAL "sig=a{uuu} u 0"),
        CLOSES("33 nested arrays", SIGNAL "${a*33}u [ ]"),
        CLOSES("33 nested structs", SIGNAL "${(*33}u${)*33} 1"),

        /* values */
        CLOSES("padding in the body that is not zero", SIGNAL "patch=-7:01 yu 1 2"),
        CLOSES("padding between array length and elements that is not zero",
               SIGNAL "patch=-12:01 at [ 1 ]"),
        CLOSES("a boolean of 2", SIGNAL "b 2"),
        CLOSES("a string that is not UTF-8", SIGNAL "s a%ffb"),
        CLOSES("a string with an overlong sequence", SIGNAL "s %c0%80"),
        CLOSES("a string with a surrogate", SIGNAL "s %ed%a0%80"),
        CLOSES("a string beyond U+10FFFF", SIGNAL "s %f4%90%80%80"),
        CLOSES("a string with a sequence cut off", SIGNAL "s %e2%82"),
        CLOSES("a string with a NUL in it", SIGNAL "s a%00b"),
        CLOSES("a string without a NUL at its end", SIGNAL "patch=-1:41 s abc"),
        CLOSES("a string longer than the body", SIGNAL "sig=s u 100"),
        CLOSES("a string of 4 GiB", SIGNAL "sig=s u 4294967295"),
        CLOSES("an array longer than the body", SIGNAL "sig=ay u 100"),
        CLOSES("an array of more than 64 MiB", SIGNAL "sig=ay u 67108865"),
        CLOSES("an array that ends within an element", SIGNAL "sig=au uy 1 5"),
        CLOSES("an invalid object path", SIGNAL "o x"),
        CLOSES("an empty object path", SIGNAL "o ``"),
        CLOSES("an invalid signature", SIGNAL "g ("),
        CLOSES("a signature without a NUL at its end", SIGNAL "patch=-1:41 g u"),
        CLOSES("a variant without a type", SIGNAL "v ``"),
        CLOSES("a variant of two types", SIGNAL "v uu 1"),
        CLOSES("a variant with an invalid type", SIGNAL "v z 1"),
        CLOSES("an invalid value within containers", SIGNAL "a{sv} [ k v (b) 2 ]"),
        CLOSES("variants nested 65 deep", SIGNAL V8 V8 V8 V8 V8 V8 V8 V8 "v u 1"),

        /* odd, but legal */
        PASSES("an empty array", SIGNAL "ayatas [ ] [ ] [ ]", "signal Sig ayatas [ ] [ ] [ ]"),
        PASSES("noncharacters", SIGNAL "s %ef%bf%be%ef%bf%bf%ef%b7%90",
               "signal Sig s %ef%bf%be%ef%bf%bf%ef%b7%90"),
        PASSES("the longest and the shortest sequences of UTF-8",
               SIGNAL "s %f4%8f%bf%bf%ee%80%80%ed%9f%bf%c2%80",
               "signal Sig s %f4%8f%bf%bf%ee%80%80%ed%9f%bf%c2%80"),
        PASSES("an empty string", SIGNAL "s ``", "signal Sig s ``"),
        PASSES("an empty signature", SIGNAL "g ``", "signal Sig g ``"),
        PASSES("the root path", SIGNAL "path=/ o /", "signal Sig path=/ o /"),
        PASSES("32 nested arrays", SIGNAL "${a*32}u [ ]", "signal Sig ${a*32}u [ ]"),
        PASSES("32 nested structs", SIGNAL "${(*32}u${)*32} 1", "signal Sig ${(*32}u${)*32} 1"),
        PASSES("32 structs in 32 arrays", SIGNAL "${a*32}${(*32}u${)*32} [ ]",
               "signal Sig ${a*32}${(*32}u${)*32} [ ]"),
        PASSES("variants nested 64 deep", SIGNAL V8 V8 V8 V8 V8 V8 V8 V8 "u 1", "signal Sig"),
        PASSES("a signature of 255 characters", SIGNAL "${y*255}", "signal Sig"),
        PASSES("an interface of 255 characters", "signal com.${x*251}.Sig to=w",
               "signal com.${x*251}.Sig"),
        PASSES("a member of 255 characters", "signal " I ".${x*255}", "signal ${x*255}"),
        PASSES("a very long path", SIGNAL "path=/${x*4000}", "signal Sig path=/${x*4000}"),
        PASSES("an unknown field twice", SIGNAL "field=77:s:x field=77:u:1", "signal Sig"),
        PASSES("an unknown field with a deep type", SIGNAL "field=11:a(sv):@0", "signal Sig"),
        PASSES("a reply serial in a call", "call " I ".Do to=w reply=5", "call Do"),
        PASSES("fields of other types in a signal", SIGNAL "field=4:s:a.b", "signal Sig"),
        PASSES("an empty signature field", SIGNAL "sig=", "signal Sig sig="),
        PASSES("a serial of 2^32-1", SIGNAL "serial=4294967295", "signal Sig serial=4294967295"),

        /* how it comes */
        { "messages may come byte by byte",
          TALK(WATCH, "a! bytewise", "a: " SIGNAL "s one", "w? signal Sig s one", "a! big",
               "a: " SIGNAL "a{sv} [ k u 2 ]", "w? signal Sig a{sv} [ k u 2 ]", "a: GetId -> s *") },
        { "many messages may come in one write",
          TALK(WATCH, "a! hold", "a: " SIGNAL "s one", "a! big", "a: " SIGNAL "s two",
               "a: " SIGNAL "s three", "a: GetId", "a! flush", "w? signal Sig s one",
               "w? signal Sig s two", "w? signal Sig s three", "a? return s *") },
        { "a malformed message does not take back the good ones before it",
          TALK(WATCH, "a! hold", "a: " SIGNAL "s one", "a: " SIGNAL "serial=0 s two",
               "a: " SIGNAL "s three", "a! flush", "w? signal Sig s one", "a? closed",
               "w? nothing") },
        { "a malformed first message is no Hello",
          TALK("a! connect", "a: Hello version=2", "a? closed", "b: GetId -> s *") },
        { "a malformed message passes on what its sender owned",
          TALK("a: RequestName su a.b 0 -> u 1", "b: RequestName su a.b 0 -> u 2",
               "a: " SIGNAL "b 3", "a? closed", "b? signal NameAcquired s a.b") },
        { "a call to somebody who then breaks a rule gets no reply",
          TALK("a: GetId -> s *", "b: call x.y.Z to=a", "a? call Z", "a: " SIGNAL "b 3",
               "a? closed", "b? error NoReply") },
        { "a message of an unknown type gets an error from the bus",
          TALK("a: type=5 to=bus path=/x member=Do -> error AccessDenied",
               "a: type=255 to=bus path=/x member=Do -> error AccessDenied") },
        { "a message of an unknown type does not reach a peer",
          TALK("w: GetId -> s *", "a: type=5 to=w path=/x member=Do -> error AccessDenied",
               "w? nothing") },
};

int main(void)
{
        return scenarios_run("malformed", scenarios, sizeof(scenarios) / sizeof(*scenarios));
}
