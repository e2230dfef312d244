/*
 * protocols: tries, without a privilege, each way of the kernel to send something else than TCP and UDP by the usual calls,
 * and says of each whether the kernel opened it. All goes to 203.0.113.9 and 2001:db8:113::9; PPPoE goes to every neighbour.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <linux/if_pppox.h>
#include <linux/io_uring.h>
#include <linux/l2tp.h>
#include <linux/vm_sockets.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PORT 2010
#define TRIES 5
#define IPPROTO_L2TP_IP 115
#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

static struct sockaddr_in four = { .sin_family = AF_INET, .sin_port = 0 };
static struct sockaddr_in6 six = { .sin6_family = AF_INET6 };

static void say(const char *name, int fd)
{
	if (fd < 0)
		printf("%s: %s\n", name, strerror(errno));
	else
		printf("%s: opened\n", name);
}

/* Connects and sends, over both families. */
static void try_inet(const char *name, int type, int protocol)
{
	for (int i = 0; i < TRIES; i++) {
		int fd4 = socket(AF_INET, type | SOCK_NONBLOCK, protocol);
		int fd6 = socket(AF_INET6, type | SOCK_NONBLOCK, protocol);

		if (i == 0)
			say(name, fd4);
		if (fd4 >= 0) {
			connect(fd4, (struct sockaddr *)&four, sizeof(four));
			send(fd4, "secret", 6, MSG_NOSIGNAL);
			sendto(fd4, "secret", 6, MSG_NOSIGNAL, (struct sockaddr *)&four, sizeof(four));
		}
		if (fd6 >= 0) {
			connect(fd6, (struct sockaddr *)&six, sizeof(six));
			send(fd6, "secret", 6, MSG_NOSIGNAL);
			sendto(fd6, "secret", 6, MSG_NOSIGNAL, (struct sockaddr *)&six, sizeof(six));
		}
		usleep(200000);
		close(fd4);
		close(fd6);
	}
}

/* L2TP over IP has an address form of its own; its sockets are datagrams of a protocol of IP, and need no privilege. */
static void try_l2tp(void)
{
	struct sockaddr_l2tpip to = { .l2tp_family = AF_INET, .l2tp_conn_id = 7 };
	struct sockaddr_l2tpip6 to6 = { .l2tp_family = AF_INET6, .l2tp_conn_id = 7 };
	int fd = socket(AF_INET, SOCK_DGRAM, IPPROTO_L2TP_IP);
	int fd6 = socket(AF_INET6, SOCK_DGRAM, IPPROTO_L2TP_IP);

	say("l2tp", fd);
	to.l2tp_addr = four.sin_addr;
	to6.l2tp_addr = six.sin6_addr;
	for (int i = 0; i < TRIES; i++) {
		if (fd >= 0)
			sendto(fd, "secret", 6, 0, (struct sockaddr *)&to, sizeof(to));
		if (fd6 >= 0)
			sendto(fd6, "secret", 6, 0, (struct sockaddr *)&to6, sizeof(to6));
	}
	close(fd);
	close(fd6);
}

/* A PPPoE session needs no PADI: connect() takes the peer's hardware address, and send() writes the frame. */
static void try_pppoe(void)
{
	const struct if_nameindex *links = if_nameindex();
	int fd = socket(AF_PPPOX, SOCK_STREAM, PX_PROTO_OE);

	say("pppoe", fd);
	close(fd);
	for (; fd >= 0 && links->if_index; links++) {
		struct sockaddr_pppox to = { .sa_family = AF_PPPOX, .sa_protocol = PX_PROTO_OE };
		const void *address = &to;

		fd = socket(AF_PPPOX, SOCK_STREAM, PX_PROTO_OE);
		to.sa_addr.pppoe.sid = htons(7);
		memset(to.sa_addr.pppoe.remote, 0xff, ETH_ALEN);
		strncpy(to.sa_addr.pppoe.dev, links->if_name, IFNAMSIZ - 1);
		if (connect(fd, address, sizeof(to)) == 0 && send(fd, "secret", 6, 0) == 6)
			printf("pppoe: sent by %s\n", links->if_name);
		close(fd);
	}
}

/* A stream to the host of the virtual machine. */
static void try_vsock(void)
{
	struct sockaddr_vm to = { .svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_HOST, .svm_port = PORT };
	int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_NONBLOCK, 0);

	say("vsock", fd);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0 && errno != EINPROGRESS)
		printf("vsock: connect: %s\n", strerror(errno));
	close(fd);
}

/* Sends by a ring, with and without a thread of the kernel that polls it. */
static void try_ring(const char *name, unsigned int flags)
{
	struct io_uring_params p = { .flags = flags, .sq_thread_idle = 1000 };
	int ring = syscall(SYS_io_uring_setup, 8, &p);

	say(name, ring);
	if (ring < 0)
		return;
	char *sq = mmap(NULL, p.sq_off.array + p.sq_entries * 4, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring,
			IORING_OFF_SQ_RING);
	struct io_uring_sqe *sqes = mmap(NULL, p.sq_entries * sizeof(*sqes), PROT_READ | PROT_WRITE,
					 MAP_SHARED | MAP_POPULATE, ring, IORING_OFF_SQES);
	if (sq == MAP_FAILED || sqes == MAP_FAILED) {
		printf("%s: mmap: %s\n", name, strerror(errno));
		return;
	}
	unsigned int *tail = (unsigned int *)(sq + p.sq_off.tail);
	unsigned int *array = (unsigned int *)(sq + p.sq_off.array);
	unsigned int mask = *(unsigned int *)(sq + p.sq_off.ring_mask);
	int tcp = socket(AF_INET, SOCK_STREAM, 0), udp = socket(AF_INET6, SOCK_DGRAM, 0);
	static struct msghdr message;
	static struct iovec bytes = { .iov_base = "secret", .iov_len = 6 };

	message = (struct msghdr){ .msg_name = &six, .msg_namelen = sizeof(six), .msg_iov = &bytes, .msg_iovlen = 1 };
	for (int i = 0; i < 2 * TRIES; i++) {
		unsigned int at = *tail & mask;
		struct io_uring_sqe *sqe = &sqes[at];

		memset(sqe, 0, sizeof(*sqe));
		if (i % 2) {
			sqe->opcode = IORING_OP_CONNECT;
			sqe->fd = tcp;
			sqe->addr = (unsigned long)&four;
			sqe->off = sizeof(four);
		} else {
			sqe->opcode = IORING_OP_SENDMSG;
			sqe->fd = udp;
			sqe->addr = (unsigned long)&message;
			sqe->len = 1;
		}
		array[at] = at;
		__atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
		syscall(SYS_io_uring_enter, ring, 1, 0, flags & IORING_SETUP_SQPOLL ? IORING_ENTER_SQ_WAKEUP : 0, NULL, 0);
		usleep(200000);
	}
	close(ring);
}

/* Sends by each device of the network, among them those of a VRF and of tunnels. */
static void try_devices(void)
{
	for (const struct if_nameindex *link = if_nameindex(); link->if_index; link++) {
		int udp = socket(AF_INET, SOCK_DGRAM, 0), tcp = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		int udp6 = socket(AF_INET6, SOCK_DGRAM, 0);

		setsockopt(udp, SOL_SOCKET, SO_BINDTODEVICE, link->if_name, strlen(link->if_name));
		setsockopt(tcp, SOL_SOCKET, SO_BINDTODEVICE, link->if_name, strlen(link->if_name));
		setsockopt(udp6, SOL_SOCKET, SO_BINDTODEVICE, link->if_name, strlen(link->if_name));
		sendto(udp, "secret", 6, 0, (struct sockaddr *)&four, sizeof(four));
		sendto(udp6, "secret", 6, 0, (struct sockaddr *)&six, sizeof(six));
		connect(tcp, (struct sockaddr *)&four, sizeof(four));
		usleep(100000);
		printf("device: %s\n", link->if_name);
		close(udp);
		close(udp6);
		close(tcp);
	}
}

int main(void)
{
	setvbuf(stdout, NULL, _IONBF, 0);
	inet_pton(AF_INET, "203.0.113.9", &four.sin_addr);
	inet_pton(AF_INET6, "2001:db8:113::9", &six.sin6_addr);
	four.sin_port = six.sin6_port = htons(PORT);
	try_inet("tcp", SOCK_STREAM, 0);
	try_inet("udp", SOCK_DGRAM, 0);
	try_inet("udplite", SOCK_DGRAM, IPPROTO_UDPLITE);
	try_inet("mptcp", SOCK_STREAM, IPPROTO_MPTCP);
	try_inet("sctp", SOCK_STREAM, IPPROTO_SCTP);
	try_inet("sctp-seqpacket", SOCK_SEQPACKET, IPPROTO_SCTP);
	try_inet("dccp", SOCK_DCCP, IPPROTO_DCCP);
	try_inet("smc", SOCK_STREAM, 256);
	try_inet("raw", SOCK_RAW, IPPROTO_GRE);
	try_l2tp();
	try_pppoe();
	try_vsock();
	try_ring("ring", 0);
	try_ring("polled-ring", IORING_SETUP_SQPOLL);
	try_devices();
	return 0;
}
