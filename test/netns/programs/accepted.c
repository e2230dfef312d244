/*
 * accepted LOCALPORT ADDRESS PORT UID: acts as a worker to which root has handed a client's connection. It prints
 * `listening`, accepts one client as root, becomes another user, disconnects, and connects with the same socket. Ends with 0
 * when connected.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct sockaddr_in own = { .sin_family = AF_INET }, to = { .sin_family = AF_INET };
	const struct sockaddr nowhere = { .sa_family = AF_UNSPEC };
	int listener, fd, reuse = 1;

	if (argc != 5 || inet_pton(AF_INET, argv[2], &to.sin_addr) != 1)
		return 2;
	own.sin_port = htons(atoi(argv[1]));
	to.sin_port = htons(atoi(argv[3]));
	listener = socket(AF_INET, SOCK_STREAM, 0);
	if (listener < 0 || setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &reuse, sizeof(reuse)) < 0 ||
	    bind(listener, (struct sockaddr *)&own, sizeof(own)) < 0 || listen(listener, 8) < 0)
		return 2;
	puts("listening");
	fflush(stdout);
	fd = accept(listener, NULL, NULL);
	close(listener);
	if (fd < 0 || setuid(atoi(argv[4])) < 0 || connect(fd, &nowhere, sizeof(nowhere)) < 0)
		return 2;
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0) {
		perror("connect");
		return 1;
	}
	return 0;
}
