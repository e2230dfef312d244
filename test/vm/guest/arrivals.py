"""arrivals.py FILE: appends a line for each frame that comes in, flushed at once. ARP, neighbour discovery, MLD and IGMP are left out."""

import socket
import sys

ETH_P_ALL, PACKET_OUTGOING, ARPHRD_LOOPBACK = 3, 4, 772
IPV4, IPV6, ARP = 0x0800, 0x86DD, 0x0806


def text_of(protocol, packet):
    if protocol == IPV4 and len(packet) >= 20 and packet[9] != 2:
        family, source, to, upper, at = socket.AF_INET, packet[12:16], packet[16:20], packet[9], (packet[0] & 15) * 4
    elif protocol == IPV6 and len(packet) >= 40:
        family, source, to, upper, at = socket.AF_INET6, packet[8:24], packet[24:40], packet[6], 40
        if upper == 0 or (upper == 58 and len(packet) > 40 and 130 <= packet[40] <= 143):
            return None
    else:
        return None if protocol in (IPV4, IPV6, ARP) else f"frame 0x{protocol:04x}\n"
    port = int.from_bytes(packet[at + 2 : at + 4], "big") if upper in (6, 17) else ""
    return f"{socket.inet_ntop(family, source)} {upper} {socket.inet_ntop(family, to)} {port}\n"


sock = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL))
sock.setsockopt(socket.SOL_SOCKET, 33, 8 << 20)  # SO_RCVBUFFORCE
with open(sys.argv[1], "a", buffering=1) as log:
    log.write("listening\n")
    while True:
        packet, (_, protocol, kind, hardware, _) = sock.recvfrom(65536)
        if kind != PACKET_OUTGOING and hardware != ARPHRD_LOOPBACK:
            line = text_of(protocol, packet)
            if line:
                log.write(line)
