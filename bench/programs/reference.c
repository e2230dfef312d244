/*
 * reference: does the minimum that a program in C can do for a queued packet. checkvalve is measured against
 * it. It uses raw netlink, reads 64 datagrams by recvmmsg(2), and sends one verdict message with a mark for
 * each packet in one send(2). It has no policy, and one thread that blocks.
 *
 *   reference QUEUE MARK accept|repeat
 *
 * On SIGTERM it prints {"packets":N,"cpuSeconds":S,"seconds":S}: CPU of this process, user and system, and
 * time from the first packet to the last.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <linux/netlink.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

#define BATCH 64
#define SLOT 66048
#define RECEIVE_BUFFER (8 * 1024 * 1024)
#define MAX_LENGTH 16384
#define FLAGS (NFQA_CFG_F_FAIL_OPEN | NFQA_CFG_F_UID_GID | NFQA_CFG_F_GSO)

struct verdict {
  struct nlmsghdr header;
  struct nfgenmsg family;
  struct nlattr verdict_header;
  struct nfqnl_msg_verdict_hdr verdict;
  struct nlattr mark_header;
  uint32_t mark;
};

struct configuration {
  struct nlmsghdr header;
  struct nfgenmsg family;
  struct nlattr command_header;
  struct nfqnl_msg_config_cmd command;
  struct nlattr length_header;
  uint32_t length;
  struct nlattr mask_header;
  uint32_t mask;
  struct nlattr flags_header;
  uint32_t flags;
  struct nlattr parameters_header;
  struct nfqnl_msg_config_params parameters;
  char padding[3];
};

static char slab[BATCH][SLOT];
static struct verdict verdicts[BATCH];
static volatile sig_atomic_t stopped;

static void on_sigterm(int signal) {
  (void)signal;
  stopped = 1;
}

static void die(const char *what) {
  perror(what);
  exit(1);
}

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static int open_queue(uint16_t queue) {
  struct configuration message = {
      .header = {.nlmsg_len = sizeof message - 3,
                 .nlmsg_type = NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_CONFIG,
                 .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK},
      .family = {.res_id = htons(queue)},
      .command_header = {NLA_HDRLEN + sizeof message.command, NFQA_CFG_CMD},
      .command = {.command = NFQNL_CFG_CMD_BIND},
      .length_header = {NLA_HDRLEN + 4, NFQA_CFG_QUEUE_MAXLEN},
      .length = htonl(MAX_LENGTH),
      .mask_header = {NLA_HDRLEN + 4, NFQA_CFG_MASK},
      .mask = htonl(FLAGS),
      .flags_header = {NLA_HDRLEN + 4, NFQA_CFG_FLAGS},
      .flags = htonl(FLAGS),
      .parameters_header = {NLA_HDRLEN + sizeof message.parameters, NFQA_CFG_PARAMS},
      .parameters = {.copy_range = htonl(512), .copy_mode = NFQNL_COPY_PACKET},
  };
  int size = RECEIVE_BUFFER;
  struct sockaddr_nl address = {.nl_family = AF_NETLINK};
  int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER);
  if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0) die("socket");
  if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size) < 0) die("SO_RCVBUFFORCE");
  if (send(fd, &message, message.header.nlmsg_len, 0) < 0) die("bind");
  struct nlmsghdr *answer = (struct nlmsghdr *)slab[0];
  if (recv(fd, answer, SLOT, 0) < 0) die("bind");
  errno = -((struct nlmsgerr *)NLMSG_DATA(answer))->error;
  if (answer->nlmsg_type != NLMSG_ERROR || errno != 0) die("bind");
  return fd;
}

/*
 * Reads the id of the packet in a datagram, in network order. Returns 0 if there is none. It is the first
 * attribute.
 */
static int packet_id(const char *datagram, size_t length, uint32_t *id) {
  const struct nlmsghdr *header = (const struct nlmsghdr *)datagram;
  const struct nlattr *first = (const struct nlattr *)(datagram + NLMSG_HDRLEN + sizeof(struct nfgenmsg));
  if (length < NLMSG_HDRLEN + sizeof(struct nfgenmsg) + NLA_HDRLEN + sizeof(struct nfqnl_msg_packet_hdr)) return 0;
  if (header->nlmsg_type != (NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_PACKET) || first->nla_type != NFQA_PACKET_HDR)
    return 0;
  memcpy(id, (const char *)first + NLA_HDRLEN, sizeof *id);
  return 1;
}

static void prepare_verdicts(uint16_t queue, uint32_t mark, uint32_t verdict) {
  for (int i = 0; i < BATCH; i++)
    verdicts[i] = (struct verdict){
        .header = {.nlmsg_len = sizeof verdicts[i],
                   .nlmsg_type = NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_VERDICT,
                   .nlmsg_flags = NLM_F_REQUEST},
        .family = {.res_id = htons(queue)},
        .verdict_header = {NLA_HDRLEN + sizeof verdicts[i].verdict, NFQA_VERDICT_HDR},
        .verdict = {.verdict = htonl(verdict)},
        .mark_header = {NLA_HDRLEN + 4, NFQA_MARK},
        .mark = htonl(mark),
    };
}

static int judge_batch(int fd, struct mmsghdr *messages) {
  int count = recvmmsg(fd, messages, BATCH, MSG_WAITFORONE, NULL);
  int decided = 0;
  for (int i = 0; i < count; i++)
    decided += packet_id(slab[i], messages[i].msg_len, &verdicts[decided].verdict.id);
  if (decided > 0 && send(fd, verdicts, (size_t)decided * sizeof *verdicts, 0) < 0) die("send");
  return decided;
}

int main(int argc, char **argv) {
  if (argc != 4) {
    fprintf(stderr, "usage: reference QUEUE MARK accept|repeat\n");
    return 2;
  }
  uint16_t queue = (uint16_t)strtoul(argv[1], NULL, 0);
  prepare_verdicts(queue, (uint32_t)strtoul(argv[2], NULL, 0), argv[3][0] == 'r' ? NF_REPEAT : NF_ACCEPT);
  struct sigaction action = {.sa_handler = on_sigterm};
  sigaction(SIGTERM, &action, NULL);
  struct mmsghdr messages[BATCH] = {0};
  struct iovec parts[BATCH];
  for (int i = 0; i < BATCH; i++) {
    parts[i] = (struct iovec){slab[i], SLOT};
    messages[i].msg_hdr = (struct msghdr){.msg_iov = &parts[i], .msg_iovlen = 1};
  }
  int fd = open_queue(queue);
  unsigned long packets = 0;
  double first = 0, last = 0;
  while (!stopped) {
    packets += (unsigned long)judge_batch(fd, messages);
    if (!stopped) last = now();
    if (first == 0) first = last;
  }
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  double cpu = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
               (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
  printf("{\"packets\":%lu,\"cpuSeconds\":%.6f,\"seconds\":%.6f}\n", packets, cpu, last - first);
  return 0;
}
