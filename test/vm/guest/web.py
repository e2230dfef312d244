"""web.py PORT: serves the files of the current folder over IPv4 and IPv6."""

import http.server
import socket
import sys


class Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6

    def server_bind(self):
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()


Server(("::", int(sys.argv[1])), http.server.SimpleHTTPRequestHandler).serve_forever()
