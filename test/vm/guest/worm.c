/*
 * worm PORT: tries to get out until it is ended, every 200 ms: a datagram and a SYN to the next host of 203.0.113.0/24 and
 * of 2001:db8:113::/64. The port tells the arrivals of one worm from those of another.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define INTERVAL_US 200000
#define HOSTS 200

static void try_host(const struct sockaddr *to, socklen_t size)
{
	int udp = socket(to->sa_family, SOCK_DGRAM, 0);
	int tcp = socket(to->sa_family, SOCK_STREAM | SOCK_NONBLOCK, 0);

	sendto(udp, "worm", 4, 0, to, size);
	connect(tcp, to, size);
	close(udp);
	/* A SYN that nobody answers is sent again for as long as its socket lives. */
	close(tcp);
}

int main(int argc, char **argv)
{
	struct sockaddr_in four = { .sin_family = AF_INET };
	struct sockaddr_in6 six = { .sin6_family = AF_INET6 };
	char text[64];

	if (argc != 2)
		return 2;
	four.sin_port = six.sin6_port = htons(atoi(argv[1]));
	for (unsigned int i = 0;; i++) {
		snprintf(text, sizeof(text), "203.0.113.%u", 10 + i % HOSTS);
		inet_pton(AF_INET, text, &four.sin_addr);
		snprintf(text, sizeof(text), "2001:db8:113::%x", 16 + i % HOSTS);
		inet_pton(AF_INET6, text, &six.sin6_addr);
		try_host((const struct sockaddr *)&four, sizeof(four));
		try_host((const struct sockaddr *)&six, sizeof(six));
		usleep(INTERVAL_US);
	}
}
