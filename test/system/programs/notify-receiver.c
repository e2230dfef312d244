/* Takes datagrams at the abstract AF_UNIX address @ADDRESS of its argument, and prints each in brackets. */
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int main(int argc, char **argv) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  char text[2048];
  size_t length = argc == 2 ? strlen(argv[1]) : 0;
  if (length == 0 || length > sizeof address.sun_path) return 1;
  memcpy(address.sun_path, argv[1], length);
  address.sun_path[0] = 0;
  int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
  if (bind(fd, (struct sockaddr *)&address, offsetof(struct sockaddr_un, sun_path) + length)) return 1;
  setvbuf(stdout, NULL, _IONBF, 0);
  puts("bound");
  for (;;) {
    ssize_t count = recv(fd, text, sizeof text, 0);
    if (count < 0) return 1;
    printf("[%.*s]\n", (int)count, text);
  }
}
