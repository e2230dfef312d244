/*
 * stray FROM ADDRESS FLAGS-PORT...: sends a TCP segment of no connection for each argument, with these flags (hexadecimal)
 * to this port, the first from the port FROM and the others from those after it. It prints `FLAGS-PORT FLAGS` for each one that comes back. It ends with its input.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* The index of the first segment in the arguments. */
#define SEGMENTS 3

static unsigned short checksum(const unsigned char *bytes, int length)
{
	unsigned sum = 0;

	for (int i = 0; i < length; i++)
		sum += i % 2 ? bytes[i] : bytes[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons(~sum);
}

static void segment(unsigned char *to, const struct sockaddr_in6 *own, const struct sockaddr_in6 *other, int port,
		    int dport, int flags)
{
	unsigned char whole[36 + 20] = { 0 };
	unsigned short sum;

	memset(to, 0, 20);
	to[0] = port >> 8, to[1] = port, to[2] = dport >> 8, to[3] = dport;
	to[7] = 1, to[11] = 2, to[12] = 5 << 4, to[13] = flags, to[14] = 0x20;
	/* The pseudo header; IPv4 addresses are in the IPv6 form, whose other bytes add nothing to the sum but ffff. */
	memcpy(whole, &own->sin6_addr, 16);
	memcpy(whole + 16, &other->sin6_addr, 16);
	whole[33] = IPPROTO_TCP;
	whole[35] = 20;
	memcpy(whole + 36, to, 20);
	sum = checksum(whole, sizeof(whole));
	memcpy(to + 16, &sum, 2);
}

int main(int argc, char **argv)
{
	int is6 = argc > SEGMENTS && strchr(argv[2], ':') != NULL;
	int from = argc > 1 ? atoi(argv[1]) - SEGMENTS : 0;
	struct sockaddr_in6 other = { .sin6_family = AF_INET6 }, own;
	struct sockaddr_in other4 = { .sin_family = AF_INET }, own4;
	socklen_t size = sizeof(own), size4 = sizeof(own4);
	unsigned char bytes[2048];
	char mapped[64];
	int fd;

	if (argc <= SEGMENTS)
		return 2;
	snprintf(mapped, sizeof(mapped), is6 ? "%s" : "::ffff:%s", argv[2]);
	if (inet_pton(AF_INET6, mapped, &other.sin6_addr) != 1)
		return 2;
	fd = socket(is6 ? AF_INET6 : AF_INET, SOCK_RAW, IPPROTO_TCP);
	if (is6) {
		if (connect(fd, (void *)&other, sizeof(other)) < 0 || getsockname(fd, (void *)&own, &size) < 0)
			return perror("connect"), 1;
	} else {
		inet_pton(AF_INET, argv[2], &other4.sin_addr);
		if (connect(fd, (void *)&other4, sizeof(other4)) < 0 || getsockname(fd, (void *)&own4, &size4) < 0)
			return perror("connect"), 1;
		snprintf(mapped, sizeof(mapped), "::ffff:%s", inet_ntoa(own4.sin_addr));
		inet_pton(AF_INET6, mapped, &own.sin6_addr);
	}
	for (int i = SEGMENTS; i < argc; i++) {
		char *dash = strchr(argv[i], '-');

		segment(bytes, &own, &other, from + i, atoi(dash + 1), strtol(argv[i], NULL, 16));
		if (send(fd, bytes, 20, 0) != 20)
			return perror("send"), 1;
	}
	for (;;) {
		struct pollfd ready[] = { { .fd = fd, .events = POLLIN }, { .fd = 0, .events = POLLIN } };
		int length, index;

		poll(ready, 2, -1);
		if (ready[1].revents)
			return 0;
		length = recv(fd, bytes, sizeof(bytes), 0);
		const unsigned char *tcp = bytes + (is6 ? 0 : (bytes[0] & 15) * 4);
		if (tcp + 20 > bytes + length)
			continue;
		index = (tcp[2] << 8 | tcp[3]) - from;
		if (index < SEGMENTS || index >= argc)
			continue;
		printf("%s %02x\n", argv[index], tcp[13]);
		fflush(stdout);
	}
}
