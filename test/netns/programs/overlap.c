/*
 * overlap RESOLVER MSS HEX: sends a stream to TCP port 53 whose segments overlap. The first segment ends 40 bytes early,
 * since IP options take their place (ip(7)). No acknowledgement is taken (IP_MINTTL), so the kernel sends it again, by
 * then without options and MSS bytes long: over the beginning of the second one. Ends with 3 when the MSS is another.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef IP_MINTTL
#define IP_MINTTL 21
#endif

static int mss(int fd)
{
	int size = 0;
	socklen_t length = sizeof(size);

	getsockopt(fd, IPPROTO_TCP, TCP_MAXSEG, &size, &length);
	return size;
}

int main(int argc, char **argv)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(53) };
	unsigned char bytes[8192], options[40];
	int fd, yes = 1, ttl = 255, length = 0;

	if (argc != 4 || inet_pton(AF_INET, argv[1], &to.sin_addr) != 1)
		return 2;
	while (length < (int)sizeof(bytes) && sscanf(argv[3] + 2 * length, "%2hhx", bytes + length) == 1)
		length++;
	fd = socket(AF_INET, SOCK_STREAM, 0);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0)
		return 1;
	if (mss(fd) != atoi(argv[2]))
		return printf("the MSS is %d\n", mss(fd)), 3;
	memset(options, 1, sizeof(options));
	if (setsockopt(fd, IPPROTO_IP, IP_OPTIONS, options, sizeof(options)) < 0 || mss(fd) != atoi(argv[2]) - 40)
		return printf("the MSS becomes %d\n", mss(fd)), 3;
	if (setsockopt(fd, IPPROTO_IP, IP_MINTTL, &ttl, sizeof(ttl)) < 0)
		return 1;
	if (send(fd, bytes, length, 0) != length || setsockopt(fd, IPPROTO_IP, IP_OPTIONS, options, 0) < 0)
		return 1;
	printf("sent\n");
	fflush(stdout);
	sleep(3);
	ttl = 0;
	setsockopt(fd, IPPROTO_IP, IP_MINTTL, &ttl, sizeof(ttl));
	sleep(1);
	return 0;
}
