"""transfer.py HOST FOLDER: takes the web server's large file slowly until FOLDER/finish exists, then the rest at once; writes its length to FOLDER/bytes."""

import os
import socket
import sys
import time

host, folder = sys.argv[1:]
connection = socket.create_connection((host, 80), timeout=600)
connection.sendall(b"GET /large HTTP/1.0\r\n\r\n")
head = b""
while b"\r\n\r\n" not in head:
    head += connection.recv(1)
length = 0
while part := connection.recv(4096):
    length += len(part)
    if not os.path.exists(f"{folder}/finish"):
        time.sleep(0.5)
with open(f"{folder}/bytes.new", "w") as file:
    file.write(f"{length}\n")
os.rename(f"{folder}/bytes.new", f"{folder}/bytes")
