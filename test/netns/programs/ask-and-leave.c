/* ask-and-leave ADDRESS QUERY COUNT: sends the query (hexadecimal) to port 53 from COUNT sockets, and closes each at once. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct sockaddr_in6 six = { .sin6_family = AF_INET6, .sin6_port = htons(53) };
	struct sockaddr_in four = { .sin_family = AF_INET, .sin_port = htons(53) };
	unsigned char query[512];
	size_t length = 0;
	int is6;

	if (argc != 4)
		return 2;
	is6 = strchr(argv[1], ':') != NULL;
	inet_pton(is6 ? AF_INET6 : AF_INET, argv[1], is6 ? (void *)&six.sin6_addr : (void *)&four.sin_addr);
	for (const char *at = argv[2]; length < sizeof(query) && sscanf(at, "%2hhx", &query[length]) == 1; at += 2)
		length++;
	for (int i = 0; i < atoi(argv[3]); i++) {
		int fd = socket(is6 ? AF_INET6 : AF_INET, SOCK_DGRAM, 0);

		if (sendto(fd, query, length, 0, is6 ? (void *)&six : (void *)&four, is6 ? sizeof(six) : sizeof(four)) < 0)
			perror("sendto");
		close(fd);
	}
	return 0;
}
