"""Runs scripts of the test's machine.ts: `EXEC SECONDS`, then a script in base64, on ttyS1; answers `DONE STATUS OUTPUT`."""

import base64
import os
import subprocess
import tty

LINE = os.open("/dev/ttyS1", os.O_RDWR | os.O_NOCTTY)
tty.setraw(LINE)
waiting = b""


def read_line():
    global waiting
    while b"\n" not in waiting:
        waiting += os.read(LINE, 4096)
    line, waiting = waiting.split(b"\n", 1)
    return line.strip()


def write(data):
    # A serial line takes little at once.
    while data:
        data = data[os.write(LINE, data[:1024]) :]


def run(script, seconds):
    with open("/run/agent.out", "wb") as output:
        child = subprocess.Popen(
            ["bash", "-c", script], stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
        try:
            status = child.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, 9)
            status = 124
    with open("/run/agent.out", "rb") as output:
        return status, output.read()


while True:
    command = read_line()
    if not command.startswith(b"EXEC "):
        continue
    status, output = run(base64.b64decode(read_line()).decode(), int(command.split()[1]))
    write(b"\nDONE %d %s\n" % (status, base64.b64encode(output)))
