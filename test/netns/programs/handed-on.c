/*
 * handed-on LOCALPORT ADDRESS PORT UID: acts as a compromised worker of a web server. It listens on a socket
 * as root, becomes another user, prints `listening`, and waits for a line. Then it stops listening, and connects with
 * the same socket. Ends with 0 when connected, with 3 when this kernel does not connect a socket that has listened.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct sockaddr_in own = { .sin_family = AF_INET }, to = { .sin_family = AF_INET };
	struct timeval patience = { .tv_sec = 2 };
	int fd, reuse = 1;

	if (argc != 5 || inet_pton(AF_INET, argv[2], &to.sin_addr) != 1)
		return 2;
	own.sin_port = htons(atoi(argv[1]));
	to.sin_port = htons(atoi(argv[3]));
	fd = socket(AF_INET, SOCK_STREAM, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &reuse, sizeof(reuse)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) < 0)
		return 2;
	if (bind(fd, (struct sockaddr *)&own, sizeof(own)) < 0 || listen(fd, 8) < 0 || setuid(atoi(argv[4])) < 0)
		return 2;
	puts("listening");
	fflush(stdout);
	getchar();
	if (shutdown(fd, SHUT_RDWR) < 0)
		return 2;
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0) {
		int refused = errno == EINVAL ? 3 : 1;

		perror("connect");
		return refused;
	}
	return 0;
}
