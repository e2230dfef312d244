/*
 * A server whose answers have a source route: they go to another host first.
 *
 *   routed PORT CLIENT VIA    accepts one client, prints "connected", waits for SIGUSR1, sends 20 segments by way of VIA
 *
 * IPv4: a loose source route (RFC 791). IPv6: a segment routing header (RFC 8754). Both need no privilege.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int route4(int fd, const char *client, const char *via) {
  unsigned char options[12] = {IPOPT_LSRR, 11, 4};
  inet_pton(AF_INET, via, options + 3);
  inet_pton(AF_INET, client, options + 7);
  return setsockopt(fd, IPPROTO_IP, IP_OPTIONS, options, sizeof options);
}

static int route6(int fd, const char *client, const char *via) {
  unsigned char header[40] = {0, 4, 4, 1, 1};
  inet_pton(AF_INET6, client, header + 8);
  inet_pton(AF_INET6, via, header + 24);
  return setsockopt(fd, IPPROTO_IPV6, IPV6_RTHDR, header, sizeof header);
}

int main(int count, char **words) {
  if (count != 4) return 2;
  int is4 = strchr(words[2], ':') == NULL, yes = 1, signal = 0;
  sigset_t told;
  sigemptyset(&told);
  sigaddset(&told, SIGUSR1);
  sigprocmask(SIG_BLOCK, &told, NULL);
  struct sockaddr_in own4 = {.sin_family = AF_INET, .sin_port = htons(atoi(words[1]))};
  struct sockaddr_in6 own6 = {.sin6_family = AF_INET6, .sin6_port = htons(atoi(words[1]))};
  int server = socket(is4 ? AF_INET : AF_INET6, SOCK_STREAM, 0);
  setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  int bound = is4 ? bind(server, (void *)&own4, sizeof own4) : bind(server, (void *)&own6, sizeof own6);
  if (bound != 0 || listen(server, 1) != 0) return perror("listen"), 1;
  puts("listening");
  fflush(stdout);
  int fd = accept(server, NULL, NULL);
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  puts("connected");
  fflush(stdout);
  sigwait(&told, &signal);
  if ((is4 ? route4 : route6)(fd, words[2], words[3]) != 0) return perror("route"), 1;
  for (int i = 0; i < 20; i++) {
    send(fd, "secret", 6, MSG_DONTWAIT | MSG_NOSIGNAL);
    usleep(10000);
  }
  puts("sent");
  fflush(stdout);
  sleep(60);
  return 0;
}
