/*
 * call: opens connections and sends packets that look like answers of a service.
 *
 *   call raw LOCAL PORT REMOTE PORT FLAGS   sends one TCP header by a raw socket, FLAGS as in its byte 13
 *   call reuse LOCAL PORT REMOTE PORT       listens on PORT, and connects from the same port (SO_REUSEPORT)
 *   call later LOCAL PORT REMOTE PORT       connects, prints what it receives, and on SIGUSR1 listens on PORT
 *   call skewed LOCAL PORT REMOTE PORT      does as later, but before it listens it sends data that does not
 *                                           leave this host (SO_DONTROUTE, socket(7)) and counts as sent
 *   call talk LOCAL PORT REMOTE PORT HEX    listens on PORT, connects from it, prints "connected", and from
 *                                           SIGUSR1 on sends HEX ten times a second
 *   call both LOCAL PORT REMOTE PORT        listens on PORT with a full queue, so that no client is answered,
 *                                           prints "listening", and connects from PORT a second later
 *   call ping LOCAL 0 REMOTE 0              sends an echo request, and waits a second for the reply
 *
 * Exits with 0 when the packet was sent, the connection made or the ping answered; else with 1.
 */
#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

static struct addrinfo *address(const char *host, const char *port) {
  struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM}, *found = NULL;
  return getaddrinfo(host, port, &hints, &found) == 0 ? found : NULL;
}

static unsigned sum(const void *from, int length, unsigned so_far) {
  const unsigned char *bytes = from;
  for (int i = 0; i < length; i++) so_far += i & 1 ? bytes[i] : bytes[i] << 8;
  return so_far;
}

/* Computes the checksum of RFC 9293, section 3.1: over both addresses, protocol, length and header. */
static unsigned checksum(struct addrinfo *local, struct addrinfo *remote, const unsigned char *header) {
  unsigned total = sum(header, 20, IPPROTO_TCP + 20);
  for (int i = 0; i < 2; i++) {
    struct sockaddr *end = i ? remote->ai_addr : local->ai_addr;
    if (end->sa_family == AF_INET6) total = sum(&((struct sockaddr_in6 *)end)->sin6_addr, 16, total);
    else total = sum(&((struct sockaddr_in *)end)->sin_addr, 4, total);
  }
  while (total >> 16) total = (total & 0xffff) + (total >> 16);
  return ~total & 0xffff;
}

static int raw(struct addrinfo *local, struct addrinfo *remote, int from, int to, int flags) {
  unsigned char header[20] = {from >> 8, from, to >> 8, to, 0, 0, 0, 1, 0, 0, 0, 1, 5 << 4, flags, 0xff, 0xff};
  unsigned check = checksum(local, remote, header);
  header[16] = check >> 8, header[17] = check & 0xff;
  int fd = socket(remote->ai_family, SOCK_RAW, IPPROTO_TCP);
  if (remote->ai_family == AF_INET6) ((struct sockaddr_in6 *)remote->ai_addr)->sin6_port = 0;
  if (local->ai_family == AF_INET6) ((struct sockaddr_in6 *)local->ai_addr)->sin6_port = 0;
  if (fd < 0 || bind(fd, local->ai_addr, local->ai_addrlen) != 0) return 1;
  return sendto(fd, header, sizeof header, 0, remote->ai_addr, remote->ai_addrlen) == sizeof header ? 0 : 1;
}

static int bound(struct addrinfo *local) {
  int yes = 1, fd = socket(local->ai_family, SOCK_STREAM, 0);
  setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &yes, sizeof yes);
  return bind(fd, local->ai_addr, local->ai_addrlen) == 0 ? fd : -1;
}

static int reuse(struct addrinfo *local, struct addrinfo *remote) {
  int service = bound(local), caller = bound(local);
  if (service < 0 || caller < 0 || listen(service, 8) != 0) exit(2);
  struct timeval known = {.tv_sec = 1, .tv_usec = 500000};
  struct timeval patience = {.tv_usec = 500000};
  setsockopt(caller, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  select(0, NULL, NULL, NULL, &known); /* the service needs the time to find that the port serves clients */
  return connect(caller, remote->ai_addr, remote->ai_addrlen) == 0 ? 0 : 1;
}

static int talk(struct addrinfo *local, struct addrinfo *remote, const char *hex) {
  unsigned char word[512];
  int length = 0, service = bound(local), caller = bound(local);
  for (; hex[0] && hex[1] && length < (int)sizeof word; hex += 2) sscanf(hex, "%2hhx", &word[length++]);
  if (service < 0 || listen(service, 8) != 0 || caller < 0) return 2;
  if (connect(caller, remote->ai_addr, remote->ai_addrlen) != 0) return 1;
  sigset_t start;
  sigemptyset(&start);
  sigaddset(&start, SIGUSR1);
  sigprocmask(SIG_BLOCK, &start, NULL);
  write(1, "connected\n", 10);
  sigwait(&start, &(int){0});
  for (int times = 0; times < 100; times++) {
    send(caller, word, length, MSG_DONTWAIT | MSG_NOSIGNAL);
    usleep(100000);
  }
  return 0;
}

/* With a full queue the kernel does not answer a forged SYN, so that its alleged sender sends no RST. */
static int both(struct addrinfo *local, struct addrinfo *remote) {
  struct timeval patience = {.tv_sec = 2};
  int service = bound(local), filler = socket(local->ai_family, SOCK_STREAM, 0);
  if (service < 0 || listen(service, 0) != 0 || connect(filler, local->ai_addr, local->ai_addrlen) != 0) return 2;
  write(1, "listening\n", 10);
  sleep(1);
  int caller = bound(local);
  setsockopt(caller, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  return connect(caller, remote->ai_addr, remote->ai_addrlen) == 0 ? 0 : 1;
}

static struct addrinfo *own;

static int caller_to_skew = -1;

static void skew(int fd) {
  int yes = 1, no = 0;
  setsockopt(fd, SOL_SOCKET, SO_DONTROUTE, &yes, sizeof yes);
  for (int times = 0; times < 5; times++) {
    send(fd, "nowhere", 7, MSG_DONTWAIT | MSG_NOSIGNAL);
    usleep(10000);
  }
  setsockopt(fd, SOL_SOCKET, SO_DONTROUTE, &no, sizeof no);
}

static void listen_too(int signal) {
  (void)signal;
  if (caller_to_skew >= 0) skew(caller_to_skew);
  int service = bound(own);
  if (service < 0 || listen(service, 8) != 0) _exit(2);
}

static int later(struct addrinfo *local, struct addrinfo *remote, int is_skewed) {
  struct sigaction action = {.sa_handler = listen_too, .sa_flags = SA_RESTART};
  char said[256];
  int caller = bound(local);
  own = local;
  sigaction(SIGUSR1, &action, NULL);
  if (caller < 0 || connect(caller, remote->ai_addr, remote->ai_addrlen) != 0) return 1;
  if (is_skewed) caller_to_skew = caller;
  for (ssize_t length; (length = read(caller, said, sizeof said)) > 0;) write(1, said, (size_t)length);
  return 0;
}

/*
 * include/uapi/linux/icmp.h: ICMP_ECHO 8, ICMP_ECHOREPLY 0; icmpv6.h: ICMPV6_ECHO_REQUEST 128,
 * ICMPV6_ECHO_REPLY 129
 */
static int ping(struct addrinfo *remote) {
  int six = remote->ai_family == AF_INET6;
  unsigned char request[8] = {six ? 128 : 8, 0, six ? 0 : 0xf7, six ? 0 : 0xff}, answer[256];
  int fd = socket(remote->ai_family, SOCK_RAW, six ? IPPROTO_ICMPV6 : IPPROTO_ICMP);
  struct timeval patience = {.tv_sec = 1};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  sendto(fd, request, sizeof request, 0, remote->ai_addr, remote->ai_addrlen);
  for (int tries = 0; tries < 16; tries++) {
    if (recv(fd, answer, sizeof answer, 0) < 8) return 1;
    if (answer[six ? 0 : (answer[0] & 15) * 4] == (six ? 129 : 0)) return 0;
  }
  return 1;
}

int main(int argc, char **argv) {
  if (argc < 6) return 2;
  struct addrinfo *local = address(argv[2], argv[3]), *remote = address(argv[4], argv[5]);
  if (!local || !remote) return 2;
  if (strcmp(argv[1], "reuse") == 0) return reuse(local, remote);
  if (strcmp(argv[1], "ping") == 0) return ping(remote);
  if (strcmp(argv[1], "both") == 0) return both(local, remote);
  if (strcmp(argv[1], "later") == 0) return later(local, remote, 0);
  if (strcmp(argv[1], "skewed") == 0) return later(local, remote, 1);
  if (strcmp(argv[1], "talk") == 0) return argc == 7 ? talk(local, remote, argv[6]) : 2;
  return argc == 7 ? raw(local, remote, atoi(argv[3]), atoi(argv[5]), (int)strtol(argv[6], NULL, 0)) : 2;
}
