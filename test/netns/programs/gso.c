/*
 * gso ADDRESS PORT HEX SIZE: sends a payload that the kernel cuts into datagrams of SIZE bytes (UDP_SEGMENT,
 * udp(7)). Ends with 0 when the kernel accepted it.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

int main(int argc, char **argv)
{
	struct sockaddr_in to = { .sin_family = AF_INET };
	unsigned char payload[4096];
	size_t length = 0;
	int size, fd;

	if (argc != 5 || inet_pton(AF_INET, argv[1], &to.sin_addr) != 1)
		return 2;
	to.sin_port = htons(atoi(argv[2]));
	for (const char *at = argv[3]; at[0] && at[1] && length < sizeof(payload); at += 2)
		if (sscanf(at, "%2hhx", &payload[length++]) != 1)
			return 2;
	size = atoi(argv[4]);
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	if (fd < 0 || setsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &size, sizeof(size)) < 0)
		return 1;
	return sendto(fd, payload, length, 0, (struct sockaddr *)&to, sizeof(to)) < 0;
}
