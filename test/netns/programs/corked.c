/*
 * corked COUNT SENDING [6]: opens COUNT UDP sockets on one port of 127.0.0.1, or ::1. SENDING of them begin a
 * datagram that the kernel keeps until it is finished (UDP_CORK): it counts the memory as sent. Prints the
 * port, and ends with its input.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int argc, char **argv) {
  if (argc < 3) return 2;
  struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
  struct sockaddr_in6 own = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT}, to;
  socklen_t size = sizeof own;
  int yes = 1, count = atoi(argv[1]), sending = atoi(argv[2]);
  char byte;

  if (argc < 4) memcpy(&own, &v4, size = sizeof v4);
  to = own;
  /* The port is at the same offset in both structures. */
  to.sin6_port = htons(9);
  for (int i = 0; i < count; i++) {
    int fd = socket(own.sin6_family, SOCK_DGRAM, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(fd, (struct sockaddr *)&own, size) != 0) return perror("bind"), 1;
    if (getsockname(fd, (struct sockaddr *)&own, &size) != 0) return perror("getsockname"), 1;
    if (i >= sending) continue;
    setsockopt(fd, IPPROTO_UDP, UDP_CORK, &yes, sizeof yes);
    if (sendto(fd, "x", 1, 0, (struct sockaddr *)&to, size) != 1) return perror("sendto"), 1;
  }
  printf("%d\n", ntohs(own.sin6_port));
  fflush(stdout);
  while (read(0, &byte, 1) > 0) continue;
  return 0;
}
