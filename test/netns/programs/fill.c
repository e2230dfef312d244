/*
 * fill: fills the kernel's connection tracking with UDP flows that count as assured: datagrams and answers,
 * and both again after more than two seconds (net/netfilter/nf_conntrack_proto_udp.c).
 *
 *   fill lo COUNT               sends from one socket to COUNT addresses of 127.0.0.0/8; needs no privilege
 *   fill echo PORT              answers datagrams from the address that they came to, for ten minutes at most
 *   fill out HOST PORT COUNT    sends as a client with COUNT addresses and ports from 198.18.32.0 on
 *
 * Rounds and time are bounded. Prints {"sent": DATAGRAMS}.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS 4
#define PAUSE_MS 1500
#define SOURCES 64 /* ports of the client */
#define PORT 4321

static struct sockaddr_in end(unsigned address, int port) {
  return (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(address)}};
}

static int bound(unsigned address, int port) {
  int fd = socket(AF_INET, SOCK_DGRAM, 0), yes = 1, size = 8 << 20;
  struct sockaddr_in own = end(address, port);
  setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &yes, sizeof yes);
  setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
  if (bind(fd, (struct sockaddr *)&own, sizeof own) != 0) exit(1);
  return fd;
}

/* Sends one byte from an address of this host. */
static int say(int fd, unsigned from, struct sockaddr_in to) {
  char control[CMSG_SPACE(sizeof(struct in_pktinfo))] = {0}, byte = 'x';
  struct iovec part = {&byte, 1};
  struct msghdr message = {&to, sizeof to, &part, 1, control, sizeof control, 0};
  struct cmsghdr *header = CMSG_FIRSTHDR(&message);
  *header = (struct cmsghdr){CMSG_LEN(sizeof(struct in_pktinfo)), IPPROTO_IP, IP_PKTINFO};
  struct in_pktinfo source = {.ipi_spec_dst = {htonl(from)}};
  memcpy(CMSG_DATA(header), &source, sizeof source);
  return sendmsg(fd, &message, 0) == 1;
}

/* Answers one datagram, if there is one, from the address that it came to. */
static int answer(int fd, int flags) {
  char control[256], byte;
  struct sockaddr_in from;
  struct iovec part = {&byte, 1};
  struct msghdr message = {&from, sizeof from, &part, 1, control, sizeof control, 0};
  if (recvmsg(fd, &message, flags) < 0) return 0;
  for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header; header = CMSG_NXTHDR(&message, header)) {
    struct in_pktinfo info;
    memcpy(&info, CMSG_DATA(header), sizeof info);
    if (header->cmsg_type == IP_PKTINFO) say(fd, ntohl(info.ipi_addr.s_addr), from);
  }
  return 1;
}

static long lo(int count) {
  int caller = bound(0x7f000001, 0), called = bound(INADDR_ANY, PORT);
  long sent = 0;
  for (int round = 0; round < ROUNDS; round++) {
    for (int i = 0; i < count; i++) {
      sent += say(caller, 0x7f000001, end(0x7f010000 + i, PORT));
      while (answer(called, MSG_DONTWAIT));
    }
    usleep(PAUSE_MS * 1000);
  }
  return sent;
}

static long out(unsigned host, int port, int count) {
  int sources[SOURCES];
  long sent = 0;
  char byte[64];
  for (int i = 0; i < SOURCES; i++) sources[i] = bound(INADDR_ANY, 10000 + i);
  for (int round = 0; round < ROUNDS; round++) {
    for (int i = 0; i < count; i++) {
      sent += say(sources[i % SOURCES], 0xc6122000 + i / SOURCES, end(host, port));
      if (i % 32 == 0) usleep(150); /* not faster than fill echo answers */
      while (recv(sources[i % SOURCES], byte, sizeof byte, MSG_DONTWAIT) > 0);
    }
    usleep(PAUSE_MS * 1000);
  }
  return sent;
}

static int said(long sent) {
  printf("{\"sent\": %ld}\n", sent);
  return 0;
}

int main(int argc, char **argv) {
  if (argc == 3 && strcmp(argv[1], "lo") == 0) return said(lo(atoi(argv[2])));
  if (argc == 5 && strcmp(argv[1], "out") == 0)
    return said(out(ntohl(inet_addr(argv[2])), atoi(argv[3]), atoi(argv[4])));
  if (argc != 3 || strcmp(argv[1], "echo") != 0) return 2;
  int fd = bound(INADDR_ANY, atoi(argv[2]));
  puts("listening");
  fflush(stdout);
  alarm(600);
  while (answer(fd, 0));
  return 0;
}
