/*
 * Sends datagrams from an IPv6 address that is not this host's: IPV6_FREEBIND (ipv6(7)) needs no privilege.
 *
 *   foreign SOURCE HOST PORT COUNT
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#ifndef IPV6_FREEBIND
#define IPV6_FREEBIND 78
#endif

int main(int count, char **words) {
  if (count != 5) return 2;
  struct sockaddr_in6 own = {.sin6_family = AF_INET6}, to = {.sin6_family = AF_INET6, .sin6_port = htons(atoi(words[3]))};
  int fd = socket(AF_INET6, SOCK_DGRAM, 0), yes = 1;
  inet_pton(AF_INET6, words[1], &own.sin6_addr);
  inet_pton(AF_INET6, words[2], &to.sin6_addr);
  setsockopt(fd, IPPROTO_IPV6, IPV6_FREEBIND, &yes, sizeof yes);
  if (bind(fd, (struct sockaddr *)&own, sizeof own) != 0) return perror("bind"), 1;
  char bytes[1100];
  memset(bytes, 'S', sizeof bytes);
  int sent = 0;
  for (int i = 0; i < atoi(words[4]); i++)
    sent += sendto(fd, bytes, sizeof bytes, 0, (struct sockaddr *)&to, sizeof to) == sizeof bytes;
  printf("{\"sent\": %d}\n", sent);
  return 0;
}
