"""Two machines in one: network namespaces that a virtual cable joins, as an ordinary user may make.

Everything lives in a user namespace of this process tree and is gone with it; nothing of the
machine's own network is touched.
"""

from __future__ import annotations

import shutil
import subprocess

ADDRESSES = ('10.77.0.1', '10.77.0.2')
INTERFACE = 'cable'

# The outer namespace keeps the user rights; each host is a network namespace inside it.
SET_UP = f"""
set -e
sleep infinity & LEFT=$!
unshare --net sleep infinity & RIGHT=$!
until [ "$(readlink /proc/$RIGHT/ns/net)" != "$(readlink /proc/$LEFT/ns/net)" ]; do sleep 0.05; done
ip link set lo up
ip link add {INTERFACE} type veth peer name {INTERFACE} netns $RIGHT
ip addr add {ADDRESSES[0]}/24 dev {INTERFACE}
ip link set {INTERFACE} up
nsenter --target $RIGHT --net sh -ec '
ip link set lo up
ip addr add {ADDRESSES[1]}/24 dev {INTERFACE}
ip link set {INTERFACE} up'
echo $LEFT $RIGHT
read END
kill $LEFT $RIGHT
"""


class TwoHosts:
    """Two hosts, while the context lasts.

    Raises:
        OSError: where the tools or the permission are missing, with the reason.
    """

    def __enter__(self):
        missing = [tool for tool in ('unshare', 'nsenter', 'ip') if shutil.which(tool) is None]
        if missing:
            raise OSError(f'network namespaces need {", ".join(missing)}')
        self._keeper = subprocess.Popen(
            ['unshare', '--user', '--map-root-user', '--net', 'sh', '-c', SET_UP],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        pids = self._keeper.stdout.readline().split()
        if len(pids) != 2:
            raise OSError(f'no network namespaces here: {self._keeper.communicate()[1].strip()}')
        self._hosts = pids
        return self

    def __exit__(self, *error):
        self._keeper.communicate('end\n', timeout=10)

    def start(self, host, command, **options):
        """A process on host 0 or 1."""
        return subprocess.Popen([*self._enter(host), *command], **options)

    def unplug(self):
        """No packet passes any more, and nobody is told, as when a machine loses its power."""
        down = ['ip', 'link', 'set', INTERFACE, 'down']
        subprocess.run([*self._enter(0), *down], check=True)

    def _enter(self, host):
        target = self._hosts[host]
        return ['nsenter', '--target', target, '--user', '--net', '--preserve-credentials']
