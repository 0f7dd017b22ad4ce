# owner.py session|system NAME: owns NAME; answers Who (uid, pid, starter), Fd (reads a passed descriptor), Emit (a signal)
import dbus, dbus.service, dbus.mainloop.glib, os, sys
from gi.repository import GLib
dbus.mainloop.glib.DBusGMainLoop(set_as_default=True)
bus = dbus.SystemBus() if sys.argv[1] == 'system' else dbus.SessionBus()
loop = GLib.MainLoop()
class O(dbus.service.Object):
    @dbus.service.method('org.example.I', out_signature='uss')
    def Who(self): return os.getuid(), str(os.getpid()), os.environ.get('DBUS_STARTER_BUS_TYPE', '-')
    @dbus.service.method('org.example.I', in_signature='h', out_signature='s')
    def Fd(self, fd): return os.fdopen(fd.take()).read()
    @dbus.service.method('org.example.I', in_signature='s')
    def Emit(self, s): self.Sig(s)
    @dbus.service.signal('org.example.I', signature='s')
    def Sig(self, s): pass
    @dbus.service.method('org.example.I')
    def Secret(self): pass
    @dbus.service.method('org.example.I')
    def Quit(self): GLib.timeout_add(50, loop.quit)
n = dbus.service.BusName(sys.argv[2], bus, do_not_queue=True); o = O(bus, '/o')
loop.run()
