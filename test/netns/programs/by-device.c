/*
 * by-device HOW DEVICE ADDRESS PORT COUNT: sends datagrams of 100 bytes to an address by a device of the network, whatever
 * the routes say. HOW is `bind` (SO_BINDTODEVICE), `unicast` (IP_UNICAST_IF) or `dontroute` (bind and SO_DONTROUTE).
 */
#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* From linux/ipv6.h, which cannot be included beside netinet/in.h. */
#ifndef IPV6_UNICAST_IF
#define IPV6_UNICAST_IF 76
#endif
#ifndef IP_UNICAST_IF
#define IP_UNICAST_IF 50
#endif

int main(int argc, char **argv)
{
	struct sockaddr_in6 six = { .sin6_family = AF_INET6 };
	struct sockaddr_in four = { .sin_family = AF_INET };
	char data[100] = { 0 };
	int fd, one = 1, is6, sent = 0;
	unsigned int device;

	if (argc != 6)
		return 2;
	is6 = strchr(argv[3], ':') != NULL;
	device = htonl(if_nametoindex(argv[2]));
	fd = socket(is6 ? AF_INET6 : AF_INET, SOCK_DGRAM, 0);
	if (strcmp(argv[1], "unicast") == 0) {
		if (setsockopt(fd, is6 ? IPPROTO_IPV6 : IPPROTO_IP, is6 ? IPV6_UNICAST_IF : IP_UNICAST_IF, &device, 4))
			return perror("unicast"), 1;
	} else if (setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, argv[2], strlen(argv[2]))) {
		return perror("bind"), 1;
	}
	if (strcmp(argv[1], "dontroute") == 0 && setsockopt(fd, SOL_SOCKET, SO_DONTROUTE, &one, sizeof(one)))
		return perror("dontroute"), 1;
	inet_pton(is6 ? AF_INET6 : AF_INET, argv[3], is6 ? (void *)&six.sin6_addr : (void *)&four.sin_addr);
	six.sin6_port = four.sin_port = htons(atoi(argv[4]));
	for (int i = 0; i < atoi(argv[5]); i++) {
		const struct sockaddr *to = is6 ? (void *)&six : (void *)&four;

		if (sendto(fd, data, sizeof(data), 0, to, is6 ? sizeof(six) : sizeof(four)) == sizeof(data))
			sent++;
		usleep(1000);
	}
	printf("%d\n", sent);
	return 0;
}
