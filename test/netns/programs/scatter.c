/*
 * scatter: sends datagrams to random addresses of 198.19.0.0/16 and 2001:db8:19::/64 and random ports, from
 * SOCKETS sockets in turn, IPv4 and IPv6. Each socket can only have a few hundred datagrams in a queue: few
 * sockets send as fast as packets are judged, and many fill the queue.
 *
 *   scatter COUNT SOCKETS
 *
 * Ends after ten minutes at most. Prints {"sent": DATAGRAMS}: those that were sent, or dropped by a rule
 * (EPERM).
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SOCKETS_AT_MOST 1000

int main(int argc, char **argv) {
  int sockets[SOCKETS_AT_MOST], count = argc == 3 ? atoi(argv[1]) : 0, own = argc == 3 ? atoi(argv[2]) : 0;
  long sent = 0;
  unsigned random = 2463534242u;
  if (count < 1 || own < 1 || own > SOCKETS_AT_MOST) return 2;
  for (int i = 0; i < own; i++)
    if ((sockets[i] = socket(i % 2 ? AF_INET6 : AF_INET, SOCK_DGRAM, 0)) < 0) return 1;
  alarm(600);
  for (int i = 0; i < count; i++) {
    /* xorshift, G. Marsaglia 2003 */
    random ^= random << 13, random ^= random >> 17, random ^= random << 5;
    int port = htons(1024 + (random >> 16) % 60000);
    struct sockaddr_in v4 = {AF_INET, port, {htonl(0xc6130000 | (random & 0xffff))}};
    struct sockaddr_in6 v6 = {AF_INET6, port, 0, {{{0x20, 1, 0xd, 0xb8, 0, 0x19}}}, 0};
    memcpy(&v6.sin6_addr.s6_addr[8], &random, sizeof random);
    int is_v6 = i % own % 2;
    struct sockaddr *to = is_v6 ? (struct sockaddr *)&v6 : (struct sockaddr *)&v4;
    if (sendto(sockets[i % own], "x", 1, 0, to, is_v6 ? sizeof v6 : sizeof v4) == 1 || errno == EPERM) sent++;
    else perror("sendto");
  }
  printf("{\"sent\": %ld}\n", sent);
  return 0;
}
