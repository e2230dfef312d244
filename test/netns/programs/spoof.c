/*
 * spoof FROM PORT TO PORT COUNT: sends at least COUNT datagrams with a forged source address as fast as
 * possible, and ends after that on SIGTERM. Prints how many the kernel accepted.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#define PAYLOAD 40

static volatile sig_atomic_t is_over;

static void end(int signal) {
  (void)signal;
  is_over = 1;
}

int main(int argc, char **argv) {
  struct {
    struct iphdr ip;
    struct udphdr udp;
    unsigned char payload[PAYLOAD];
  } packet = {.ip = {.version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_UDP}};
  struct sockaddr_in to = {.sin_family = AF_INET};
  int fd = socket(AF_INET, SOCK_RAW, IPPROTO_RAW);
  long sent = 0;

  if (argc != 6 || fd < 0 || inet_pton(AF_INET, argv[1], &packet.ip.saddr) != 1 ||
      inet_pton(AF_INET, argv[3], &to.sin_addr) != 1)
    return 2;
  packet.ip.daddr = to.sin_addr.s_addr;
  packet.udp.source = htons(atoi(argv[2]));
  packet.udp.dest = htons(atoi(argv[4]));
  packet.udp.len = htons(sizeof packet.udp + PAYLOAD);
  signal(SIGTERM, end);
  while (!is_over || sent < atol(argv[5]))
    if (sendto(fd, &packet, sizeof packet, MSG_DONTWAIT, (struct sockaddr *)&to, sizeof to) > 0) sent++;
  printf("%ld\n", sent);
  return 0;
}
