/*
 * worm: chooses targets as a published worm did, and asks each of them for a connection. It is harmless: it has
 * no exploit and no payload. It calls connect(2) and closes, or sends empty datagrams. It is a load for a
 * network of namespaces: most targets are random addresses, so it may run nowhere else.
 *
 *   worm KIND SECONDS [-6] [--full] [--seed N]            sends, and prints a report
 *   worm KIND --print N [-6] [--seed N] [--own ADDRESS]   sends nothing, and prints N lines "MS ADDRESS PORT"
 *
 * KIND is one of the table KINDS. MS is the time at which the worm would send, in milliseconds. With --full a
 * worm has no pauses and waits for no answer. The report is
 * {"packets":N,"refused":N,"failed":N,"repeated":N,"seconds":S,"perSecond":[N,...]}: first packets of attempts
 * with those that TCP repeated, of them those that the kernel refused to the caller (EPERM), attempts without a
 * packet, and the repeated ones alone. A counter of nft for SYN and UDP in the output hook has the same number.
 *
 * Addresses that lead to no other host (0.0.0.0/8, 127.0.0.0/8, 224.0.0.0/3) are drawn again in all kinds.
 * These worms had no IPv6. Here "the same /8" is the same /32 of IPv6, "the same /16" is the same /64, and random
 * addresses are those of 2000::/3.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* Open attempts with --full. The oldest is given up for the next. */
#define MANY 4096
/* Below the second after which TCP repeats a SYN. */
#define ANSWER_SECONDS 0.9
#define BATCH 64
/* Queued datagrams are charged to their socket. So many sockets fill a queue before the kernel makes them wait. */
#define UDP_SOCKETS 256
#define MAX_SECONDS 3600

struct kind {
  const char *name;
  int protocol;
  uint16_t port, other_port; /* the second is that of every tenth target */
  int same8, same16;         /* of eight targets, those in the own /8 and in the own /16 */
  double interval;           /* seconds between two targets; 0: no pause */
  int open;                  /* attempts that wait for an answer at a time: the worm's threads */
  int excludes;              /* whether Mirai's list of addresses is left out */
};

/*
 * Code Red II: D. Moore, C. Shannon, k claffy, "Code-Red: a case study on the spread and victims of an Internet
 * worm", 2002; 300 threads.
 * Nimda: CERT advisory CA-2001-26: half in the same /16, a quarter in the same /8.
 * Slammer: D. Moore et al., "Inside the Slammer Worm", 2003: random, as fast as the line is.
 * Mirai: M. Antonakakis et al., "Understanding the Mirai Botnet", 2017: port 23, and 2323 for one target of ten.
 * The slow one is nobody's: four destinations in ten seconds, less than any threshold of the service.
 */
static const struct kind KINDS[] = {
    {"code-red", IPPROTO_TCP, 80, 80, 4, 3, 0, 300, 0},
    {"nimda", IPPROTO_TCP, 80, 80, 2, 4, 1.0 / 400, 400, 0},
    {"slammer", IPPROTO_UDP, 1434, 1434, 0, 0, 0, 0, 0},
    {"mirai", IPPROTO_TCP, 23, 2323, 0, 0, 0, 128, 1},
    {"slow", IPPROTO_TCP, 443, 443, 4, 3, 2.5, 16, 0},
};

/* The blocks that Mirai leaves out, as first address and length (its published source, scanner.c). */
static const struct { uint32_t network; int length; } EXCLUDED[] = {
    {0x00000000, 8}, {0x03000000, 8}, {0x06000000, 7}, {0x0a000000, 8}, {0x0b000000, 8}, {0x0f000000, 8},
    {0x10000000, 8}, {0x15000000, 8}, {0x16000000, 8}, {0x1a000000, 8}, {0x1c000000, 8}, {0x1d000000, 8},
    {0x1e000000, 8}, {0x21000000, 8}, {0x37000000, 8}, {0x38000000, 8}, {0x64400000, 10}, {0x7f000000, 8},
    {0xa9fe0000, 16}, {0xac100000, 12}, {0xc0a80000, 16}, {0xc6120000, 15}, {0xd6000000, 8}, {0xd7000000, 8},
    {0xe0000000, 3},
};

union target {
  struct sockaddr any;
  struct sockaddr_in v4;
  struct sockaddr_in6 v6;
};

static struct {
  unsigned long packets, refused, failed, repeated, per_second[MAX_SECONDS + 1];
} counts;
static const struct kind *kind;
static union target own;
static uint64_t random_state;
static unsigned long targets;
static double start;

static void die(const char *what) {
  perror(what);
  exit(1);
}

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* xorshift64*: S. Vigna, "An experimental exploration of Marsaglia's xorshift generators". */
static uint32_t random32(void) {
  random_state ^= random_state >> 12;
  random_state ^= random_state << 25;
  random_state ^= random_state >> 27;
  return (uint32_t)((random_state * 2685821657736338717u) >> 32);
}

static int is_excluded(uint32_t address) {
  for (size_t i = 0; i < sizeof EXCLUDED / sizeof *EXCLUDED; i++)
    if ((address ^ EXCLUDED[i].network) >> (32 - EXCLUDED[i].length) == 0) return 1;
  return 0;
}

static int leads_out(uint32_t address) {
  return address >> 24 != 0 && address >> 24 != 127 && address >> 29 != 7 && address != ntohl(own.v4.sin_addr.s_addr);
}

static uint32_t choose4(void) {
  uint32_t base = ntohl(own.v4.sin_addr.s_addr), address;
  int eighth = (int)(random32() >> 29);
  uint32_t kept = eighth < kind->same8 ? 0xff000000 : eighth < kind->same8 + kind->same16 ? 0xffff0000 : 0;
  do address = (base & kept) | (random32() & ~kept);
  while (!leads_out(address) || (kind->excludes && is_excluded(address)));
  return address;
}

static void choose6(uint8_t *address) {
  int eighth = (int)(random32() >> 29);
  size_t kept = eighth < kind->same8 ? 4 : eighth < kind->same8 + kind->same16 ? 8 : 0;
  for (size_t i = 0; i < 16; i++) address[i] = i < kept ? own.v6.sin6_addr.s6_addr[i] : (uint8_t)(random32() >> 24);
  if (kept == 0) address[0] = 0x20 | (address[0] & 0x1f);
}

static union target choose(void) {
  union target to = {0};
  uint16_t port = htons(targets++ % 10 == 9 ? kind->other_port : kind->port);
  to.any.sa_family = own.any.sa_family;
  if (to.any.sa_family == AF_INET) {
    to.v4.sin_port = port;
    to.v4.sin_addr.s_addr = htonl(choose4());
  } else {
    to.v6.sin6_port = port;
    choose6(to.v6.sin6_addr.s6_addr);
  }
  return to;
}

static socklen_t size_of(const union target *to) {
  return to->any.sa_family == AF_INET ? sizeof to->v4 : sizeof to->v6;
}

/* Finds the address that packets to other hosts are sent from. No packet is sent. */
static void find_own(int family) {
  union target far = {0};
  socklen_t size = sizeof own;
  far.any.sa_family = (sa_family_t)family;
  if (family == AF_INET) inet_pton(AF_INET, "203.0.113.77", &far.v4.sin_addr);
  else inet_pton(AF_INET6, "2001:db8:113::77", &far.v6.sin6_addr);
  far.v4.sin_port = htons(9);
  int fd = socket(family, SOCK_DGRAM, 0);
  if (fd < 0 || connect(fd, &far.any, size_of(&far)) < 0 || getsockname(fd, &own.any, &size) < 0) die("own address");
  close(fd);
}

static void count(unsigned long packets) {
  double passed = now() - start;
  counts.packets += packets;
  counts.per_second[passed < MAX_SECONDS ? (size_t)passed : MAX_SECONDS] += packets;
}

/* An attempt that waits for its answer. */
struct attempt {
  int fd;
  double since;
};
static struct attempt attempts[MANY];
static int poller;

/* Ends an attempt by a reset, and counts the SYNs that TCP has repeated. */
static void give_up(struct attempt *attempt) {
  struct linger none = {1, 0};
  struct tcp_info info = {0};
  socklen_t size = sizeof info;
  if (now() - attempt->since > 0.5 && getsockopt(attempt->fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0) {
    counts.repeated += info.tcpi_total_retrans;
    count(info.tcpi_total_retrans);
  }
  setsockopt(attempt->fd, SOL_SOCKET, SO_LINGER, &none, sizeof none);
  close(attempt->fd);
  attempt->fd = -1;
}

static void attempt_one(struct attempt *attempt) {
  union target to = choose();
  struct epoll_event event = {.events = EPOLLOUT, .data.ptr = attempt};
  int fd = socket(to.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
  if (fd < 0) die("socket");
  *attempt = (struct attempt){fd, now()};
  if (connect(fd, &to.any, size_of(&to)) == 0 || errno == EINPROGRESS || errno == ECONNREFUSED) {
    count(1);
    if (epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event) < 0) die("epoll_ctl");
  } else {
    counts.failed++;
    give_up(attempt);
  }
}

/* Ends the attempts that have an answer, and those that have waited too long. Returns how many still wait. */
static int tidy(struct attempt *all, int number, int wait_ms) {
  struct epoll_event events[BATCH];
  int waiting = 0;
  int answered = epoll_wait(poller, events, BATCH, wait_ms);
  for (int i = 0; i < answered; i++) give_up(events[i].data.ptr);
  double limit = now() - ANSWER_SECONDS;
  for (int i = 0; i < number; i++) {
    if (all[i].fd >= 0 && all[i].since < limit) give_up(&all[i]);
    waiting += all[i].fd >= 0;
  }
  return waiting;
}

/* Begins the attempts that are due: as many as are free without an interval. */
static int begin_due(int number, double interval) {
  int begun = 0;
  for (int i = 0; i < number; i++) {
    if (interval > 0 && (double)targets * interval > now() - start) break;
    if (attempts[i].fd >= 0) continue;
    attempt_one(&attempts[i]);
    begun++;
  }
  return begun;
}

static void call(double seconds, int full) {
  struct rlimit files;
  int number = full ? MANY : kind->open;
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  if (files.rlim_cur < (rlim_t)number + 16) number = (int)files.rlim_cur - 16;
  if ((poller = epoll_create1(0)) < 0) die("epoll_create1");
  for (int i = 0; i < number; i++) attempts[i].fd = -1;
  for (int next = 0; now() - start < seconds; next = (next + 1) % number) {
    if (full) {
      if (attempts[next].fd >= 0) give_up(&attempts[next]);
      attempt_one(&attempts[next]);
    } else tidy(attempts, number, begin_due(number, kind->interval) > 0 ? 0 : 1);
  }
  /* Packets may still wait in a queue, whose reader asks for their sender. */
  while (tidy(attempts, number, 10) > 0);
}

/* Sends a batch of empty datagrams. Those that a rule drops at once fail with EPERM, and were packets all the same. */
static void send_batch(int fd, struct mmsghdr *messages) {
  for (int done = 0; done < BATCH;) {
    int sent = sendmmsg(fd, messages + done, (unsigned)(BATCH - done), 0);
    if (sent > 0) count((unsigned long)sent);
    else if (errno == EPERM) counts.refused++, count(1);
    else counts.failed++;
    done += sent > 0 ? sent : 1;
  }
}

static void send_datagrams(double seconds) {
  union target to[BATCH];
  struct mmsghdr messages[BATCH] = {0};
  struct timeval patience = {.tv_usec = 100000};
  int sockets[UDP_SOCKETS];
  for (int i = 0; i < UDP_SOCKETS; i++) {
    if ((sockets[i] = socket(own.any.sa_family, SOCK_DGRAM, 0)) < 0) die("socket");
    setsockopt(sockets[i], SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  }
  for (int i = 0; i < BATCH; i++)
    messages[i].msg_hdr = (struct msghdr){.msg_name = &to[i], .msg_namelen = size_of(&own)};
  for (int next = 0; now() - start < seconds; next = (next + 1) % UDP_SOCKETS) {
    for (int i = 0; i < BATCH; i++) to[i] = choose();
    send_batch(sockets[next], messages);
  }
}

static void report(double seconds) {
  printf("{\"packets\":%lu,\"refused\":%lu,\"failed\":%lu,\"repeated\":%lu,\"seconds\":%.3f,\"perSecond\":[",
         counts.packets, counts.refused, counts.failed, counts.repeated, seconds);
  for (size_t i = 0; i < MAX_SECONDS && (double)i < seconds; i++) printf("%s%lu", i ? "," : "", counts.per_second[i]);
  printf("]}\n");
}

static void print_targets(unsigned long number) {
  char text[INET6_ADDRSTRLEN];
  for (unsigned long i = 0; i < number; i++) {
    union target to = choose();
    const void *address = to.any.sa_family == AF_INET ? (void *)&to.v4.sin_addr : (void *)&to.v6.sin6_addr;
    inet_ntop(to.any.sa_family, address, text, sizeof text);
    printf("%.1f %s %u\n", (double)i * kind->interval * 1000, text, ntohs(to.v4.sin_port));
  }
}

static int usage(void) {
  fprintf(stderr, "usage: worm KIND SECONDS|--print N [-6] [--full] [--seed N] [--own ADDRESS]\nkinds:");
  for (size_t i = 0; i < sizeof KINDS / sizeof *KINDS; i++) fprintf(stderr, " %s", KINDS[i].name);
  fprintf(stderr, "\n");
  return 2;
}

int main(int argc, char **argv) {
  int family = AF_INET, full = 0;
  double seconds = 0;
  unsigned long print = 0;
  const char *address = NULL;
  random_state = (uint64_t)time(NULL) << 20 ^ (uint64_t)getpid() ^ 0x9e3779b97f4a7c15u;
  for (size_t i = 0; argc > 1 && i < sizeof KINDS / sizeof *KINDS; i++)
    if (strcmp(argv[1], KINDS[i].name) == 0) kind = &KINDS[i];
  for (int i = 2; i < argc; i++) {
    const char *value = i + 1 < argc ? argv[i + 1] : "";
    if (strcmp(argv[i], "-6") == 0) family = AF_INET6;
    else if (strcmp(argv[i], "--full") == 0) full = 1;
    else if (strcmp(argv[i], "--seed") == 0) random_state = strtoull(value, NULL, 10) * 0x9e3779b97f4a7c15u | 1, i++;
    else if (strcmp(argv[i], "--print") == 0) print = strtoul(value, NULL, 10), i++;
    else if (strcmp(argv[i], "--own") == 0) address = value, i++;
    else seconds = atof(argv[i]);
  }
  if (kind == NULL || (print == 0 && !(seconds > 0 && seconds <= MAX_SECONDS))) return usage();
  if (address != NULL) {
    own.any.sa_family = (sa_family_t)family;
    if (inet_pton(family, address, family == AF_INET ? (void *)&own.v4.sin_addr : (void *)&own.v6.sin6_addr) != 1)
      return usage();
  } else find_own(family);
  if (print > 0) print_targets(print);
  else {
    start = now();
    if (kind->protocol == IPPROTO_UDP) send_datagrams(seconds);
    else call(seconds, full);
    report(seconds);
  }
  return 0;
}
