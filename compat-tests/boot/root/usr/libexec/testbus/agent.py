# agent.py: as a polkit authentication agent for its own process, asks for an authorization and refuses its own dialog
import dbus, dbus.service, dbus.mainloop.glib, os, sys
from gi.repository import GLib
dbus.mainloop.glib.DBusGMainLoop(set_as_default=True)
bus = dbus.SystemBus(); loop = GLib.MainLoop(); seen = []
class A(dbus.service.Object):
    @dbus.service.method('org.freedesktop.PolicyKit1.AuthenticationAgent', in_signature='sssa{ss}sa(sa{sv})', out_signature='')
    def BeginAuthentication(self, action, message, icon, details, cookie, identities):
        seen.append(str(action)); raise dbus.DBusException('no', name='org.freedesktop.PolicyKit1.Error.Cancelled')
    @dbus.service.method('org.freedesktop.PolicyKit1.AuthenticationAgent', in_signature='s')
    def CancelAuthentication(self, cookie): pass
a = A(bus, '/agent')
st = int(open('/proc/self/stat').read().rsplit(')', 1)[1].split()[19])
sub = ('unix-process', {'pid': dbus.UInt32(os.getpid()), 'start-time': dbus.UInt64(st), 'uid': dbus.Int32(os.getuid())})
p = dbus.Interface(bus.get_object('org.freedesktop.PolicyKit1', '/org/freedesktop/PolicyKit1/Authority'), 'org.freedesktop.PolicyKit1.Authority')
p.RegisterAuthenticationAgent(sub, 'C', '/agent')
def done(*r): print('result', r, 'seen', seen); loop.quit()
p.CheckAuthorization(sub, 'org.freedesktop.hostname1.set-static-hostname', dbus.Dictionary({}, signature='ss'), dbus.UInt32(1), '', reply_handler=done, error_handler=done)
GLib.timeout_add_seconds(10, loop.quit); loop.run()
sys.exit(0 if seen == ['org.freedesktop.hostname1.set-static-hostname'] else 1)
