/*
 * connects: measures how long connect(2) takes.
 *
 *   connects ADDRESS PORT SECONDS PAUSE_US   connects again and again, with a pause after each, and prints
 *     {"attempts":N,"connected":N,"p50":US,"p99":US,"p999":US}; the percentiles are microseconds of those that
 *     connected, and null without any. One that takes three seconds has failed.
 *   connects listen PORT   accepts connections, IPv4 and IPv6, until the client closes; prints {"listening":PORT} first
 *
 * Connections end by a reset, so that none of them keeps a port busy afterwards.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MOST (1 << 20)

static const struct timeval PATIENCE = {.tv_sec = 3};

static double taken[MOST];

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void die(const char *what) {
  perror(what);
  exit(1);
}

static void reset(int fd) {
  struct linger none = {1, 0};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof none);
  close(fd);
}

_Noreturn static void listen_on(uint16_t port) {
  struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
  int fd = socket(AF_INET6, SOCK_STREAM, 0), one = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (fd < 0 || bind(fd, (struct sockaddr *)&any, sizeof any) < 0 || listen(fd, 4096) < 0) die("listen");
  printf("{\"listening\":%u}\n", port);
  fflush(stdout);
  for (;;) {
    char end;
    int client = accept(fd, NULL, NULL);
    if (client < 0) continue;
    /* A reset at once could reach the client before its connect() has returned. */
    setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &PATIENCE, sizeof PATIENCE);
    if (recv(client, &end, 1, 0) <= 0) reset(client);
  }
}

static int compare(const void *a, const void *b) {
  double difference = *(const double *)a - *(const double *)b;
  return (difference > 0) - (difference < 0);
}

static void print_percentile(const char *name, size_t number, double part) {
  size_t rank = (size_t)((double)number * part);
  if (number == 0) printf(",\"%s\":null", name);
  else printf(",\"%s\":%.1f", name, taken[rank < number ? rank : number - 1] * 1e6);
}

int main(int argc, char **argv) {
  if (argc == 3 && strcmp(argv[1], "listen") == 0) listen_on((uint16_t)atoi(argv[2]));
  struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM}, *to;
  if (argc != 5 || getaddrinfo(argv[1], argv[2], &hints, &to) != 0) {
    fprintf(stderr, "usage: connects ADDRESS PORT SECONDS PAUSE_US | connects listen PORT\n");
    return 2;
  }
  size_t attempts = 0, connected = 0;
  for (double end = now() + atof(argv[3]); now() < end && attempts < MOST; attempts++) {
    int fd = socket(to->ai_family, SOCK_STREAM, 0);
    if (fd < 0) die("socket");
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &PATIENCE, sizeof PATIENCE);
    double begin = now();
    if (connect(fd, to->ai_addr, to->ai_addrlen) == 0) taken[connected++] = now() - begin;
    reset(fd);
    if (atoi(argv[4]) > 0) usleep((useconds_t)atoi(argv[4]));
  }
  qsort(taken, connected, sizeof *taken, compare);
  printf("{\"attempts\":%zu,\"connected\":%zu", attempts, connected);
  print_percentile("p50", connected, 0.5);
  print_percentile("p99", connected, 0.99);
  print_percentile("p999", connected, 0.999);
  printf("}\n");
  return 0;
}
