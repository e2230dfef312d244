/*
 * Sends small UDP packets as fast as one process can, each to another address of a prefix.
 *
 *   flood NETWORK LENGTH PORT PACKETS SECONDS      e.g. flood 198.18.0.0 15 9 1000000 2
 *
 * It ends after PACKETS packets or SECONDS seconds, whichever comes first, and prints
 * {"sent":N,"refused":N,"seconds":S}. Packets that the kernel refuses, for example at a full queue, are not
 * sent again.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

#define BATCH 64
/* Packets in a queue are charged to their sender. This buffer is so large that the queue fills up first. */
#define SEND_BUFFER (64 * 1024 * 1024)

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static int open_socket(void) {
  int size = SEND_BUFFER;
  int fd = socket(AF_INET, SOCK_DGRAM, 0);
  if (fd < 0) {
    perror("socket");
    exit(1);
  }
  if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size) < 0) perror("SO_SNDBUFFORCE");
  return fd;
}

int main(int argc, char **argv) {
  struct in_addr network;
  if (argc != 6 || inet_pton(AF_INET, argv[1], &network) != 1 || atoi(argv[2]) < 1 || atoi(argv[2]) > 32) {
    fprintf(stderr, "usage: flood NETWORK LENGTH PORT PACKETS SECONDS\n");
    return 2;
  }
  uint32_t base = ntohl(network.s_addr), hosts = (uint32_t)((1ull << (32 - atoi(argv[2]))) - 1);
  unsigned long packets = strtoul(argv[4], NULL, 10), sent = 0, refused = 0;
  double seconds = atof(argv[5]);
  char payload[16] = "checkvalve bench";
  struct iovec part = {payload, sizeof payload};
  struct sockaddr_in to[BATCH];
  struct mmsghdr messages[BATCH] = {0};
  for (int i = 0; i < BATCH; i++) {
    to[i] = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[3]))};
    messages[i].msg_hdr =
        (struct msghdr){.msg_name = &to[i], .msg_namelen = sizeof to[i], .msg_iov = &part, .msg_iovlen = 1};
  }
  int fd = open_socket();
  uint32_t next = 0;
  double start = now(), passed = 0;
  while (sent + refused < packets && passed < seconds) {
    /* An odd step visits every address of the prefix before it comes back to the first. */
    for (int i = 0; i < BATCH; i++) to[i].sin_addr.s_addr = htonl(base | ((next += 2654435761u) & hosts));
    for (int done = 0; done < BATCH;) {
      int count = sendmmsg(fd, messages + done, (unsigned)(BATCH - done), 0);
      if (count > 0) sent += (unsigned long)count;
      else refused++;
      done += count > 0 ? count : 1;
    }
    passed = now() - start;
  }
  printf("{\"sent\":%lu,\"refused\":%lu,\"seconds\":%.6f}\n", sent, refused, passed);
  return 0;
}
