/*
 * send PROTOCOL ADDRESS PORT [FROM [MS]]: sends one packet, or opens one connection, and keeps the socket for
 * MS (300) milliseconds.
 *
 * PROTOCOL: tcp; udp; connected (UDP); ping (a datagram socket of ICMP); raw (an echo request by a raw
 * socket). FROM: the local port, or the identifier of ping, which UDP and ping sockets share with others.
 * Ends with 0 when the packet was sent or the connection made.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct end {
  struct sockaddr_storage address;
  socklen_t size;
};

static struct end end_of(const char *text, int port) {
  struct end end = {.size = sizeof(struct sockaddr_in)};
  struct sockaddr_in *v4 = (struct sockaddr_in *)&end.address;
  struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&end.address;
  if (strchr(text, ':')) {
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    end.size = sizeof *v6;
    if (inet_pton(AF_INET6, text, &v6->sin6_addr) != 1) exit(2);
  } else {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    if (inet_pton(AF_INET, text, &v4->sin_addr) != 1) exit(2);
  }
  return end;
}

int main(int argc, char **argv) {
  if (argc < 4) return 2;
  const char *protocol = argv[1];
  struct end to = end_of(argv[2], atoi(argv[3]));
  int is_v6 = to.address.ss_family == AF_INET6, yes = 1;
  int is_icmp = !strcmp(protocol, "ping") || !strcmp(protocol, "raw");
  int type = !strcmp(protocol, "tcp") ? SOCK_STREAM : !strcmp(protocol, "raw") ? SOCK_RAW : SOCK_DGRAM;
  int fd = socket(to.address.ss_family, type, is_icmp ? (is_v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP) : 0);
  unsigned char echo[8] = {is_v6 ? 128 : 8};

  if (fd < 0) return perror("socket"), 1;
  if (is_icmp) {
    ((struct sockaddr_in *)&to.address)->sin_port = 0;
    /*
     * Only a raw socket over IPv4 needs the checksum from the program: that of echo (8 << 8) and nothing
     * else.
     */
    if (!is_v6) echo[2] = 0xf7, echo[3] = 0xff;
  }
  if (argc > 4 && type != SOCK_RAW) {
    struct end from = end_of(is_v6 ? "::" : "0.0.0.0", atoi(argv[4]));
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(fd, (struct sockaddr *)&from.address, from.size) < 0) return perror("bind"), 1;
  }
  if (type == SOCK_STREAM || !strcmp(protocol, "connected")) {
    if (connect(fd, (struct sockaddr *)&to.address, to.size) < 0) return perror("connect"), 1;
    if (type != SOCK_STREAM && send(fd, echo, sizeof echo, 0) < 0) return perror("send"), 1;
  } else if (sendto(fd, echo, sizeof echo, 0, (struct sockaddr *)&to.address, to.size) < 0)
    return perror("sendto"), 1;
  usleep(argc > 5 ? atoi(argv[5]) * 1000 : 300000);
  return 0;
}
