/*
 * The native half of node-netfilter-queue. It moves bytes between netlink sockets and JavaScript and
 * understands none of them: every byte that a stranger can influence is parsed in TypeScript.
 *
 *   open     a netlink socket, polled on the loop of the environment that opened it
 *   receive  recvmmsg(2) into one slab of memory that JavaScript owns, then one call to JavaScript a batch
 *   send     one buffer, as it is
 *   exchange one buffer, and the answer that the kernel had ready before send(2) returned
 *   notify   one datagram to an AF_UNIX address, for sd_notify(3): Node has no such sockets
 *   hungUp   whether somebody still reads a pipe: Node finds out by writing only
 *
 * Errors are returned as negative errno values; TypeScript gives them names and advice.
 * A handle lives until it is closed *and* its JavaScript value is collected, whichever comes last.
 */
#define _GNU_SOURCE
#define NAPI_VERSION 8
#include <errno.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <node_api.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "uv-poll.h"

/* Batches taken in one turn of the loop, so that a flood cannot starve timers and other sockets. */
#define BATCHES_PER_TURN 4

/* Stands in `lengths` for a datagram that did not come from the kernel: JavaScript passes over it. */
#define NOT_FROM_KERNEL 0

typedef struct {
  napi_env env;
  uv_poll_t *poll;
  int fd;
  int references; /* one of the loop, one of the JavaScript value */
  bool closed;
  napi_ref slab, lengths, on_batch, resource;
  napi_async_context context;
  napi_async_cleanup_hook_handle hook;
  int32_t *length;
  unsigned slots;
  struct mmsghdr *message;
  struct iovec *part;
  struct sockaddr_nl *sender;
} netlink_socket;

static void release(netlink_socket *s) {
  if (--s->references > 0) return;
  free(s->poll);
  free(s->message);
  free(s->part);
  free(s->sender);
  free(s);
}

static void on_collected(napi_env env, void *data, void *hint) {
  (void)env;
  (void)hint;
  release(data);
}

static void on_closed(uv_handle_t *handle) {
  netlink_socket *s = uv_handle_get_data(handle);
  napi_remove_async_cleanup_hook(s->hook);
  release(s);
}

/* The descriptor goes at once, so that the kernel frees a queue number before close() returns. */
static void close_socket(netlink_socket *s) {
  if (s->closed) return;
  s->closed = true;
  uv_close((uv_handle_t *)s->poll, on_closed);
  close(s->fd);
  napi_delete_reference(s->env, s->slab);
  napi_delete_reference(s->env, s->lengths);
  napi_delete_reference(s->env, s->on_batch);
  napi_delete_reference(s->env, s->resource);
  napi_async_destroy(s->env, s->context);
}

static void on_environment_end(napi_async_cleanup_hook_handle hook, void *data) {
  (void)hook;
  close_socket(data);
}

/* on_batch(count, errno): datagrams 0 to count-1 stand in the slab; errno is 0 unless receiving failed. */
static void call_on_batch(netlink_socket *s, int count, int error) {
  napi_handle_scope scope;
  napi_value resource, on_batch, result, arguments[2];
  if (napi_open_handle_scope(s->env, &scope) != napi_ok) return;
  napi_get_reference_value(s->env, s->resource, &resource);
  napi_get_reference_value(s->env, s->on_batch, &on_batch);
  napi_create_int32(s->env, count, &arguments[0]);
  napi_create_int32(s->env, error, &arguments[1]);
  napi_status status = napi_make_callback(s->env, s->context, resource, on_batch, 2, arguments, &result);
  if (status == napi_pending_exception) {
    napi_value exception;
    if (napi_get_and_clear_last_exception(s->env, &exception) == napi_ok)
      napi_fatal_exception(s->env, exception);
  }
  napi_close_handle_scope(s->env, scope);
}

/* JavaScript may detach the slab's memory (by transferring it to a worker): then it must not be written to. */
static bool slab_in_place(netlink_socket *s) {
  napi_handle_scope scope;
  napi_value slab;
  void *memory = NULL;
  if (napi_open_handle_scope(s->env, &scope) != napi_ok) return false;
  if (napi_get_reference_value(s->env, s->slab, &slab) == napi_ok)
    napi_get_typedarray_info(s->env, slab, NULL, NULL, &memory, NULL, NULL);
  napi_close_handle_scope(s->env, scope);
  return memory == s->part[0].iov_base;
}

static int receive_batch(netlink_socket *s) {
  if (!slab_in_place(s)) return -EFAULT;
  for (unsigned i = 0; i < s->slots; i++) s->message[i].msg_hdr.msg_namelen = sizeof *s->sender;
  int count = recvmmsg(s->fd, s->message, s->slots, MSG_DONTWAIT | MSG_TRUNC, NULL);
  if (count < 0) return -errno;
  for (int i = 0; i < count; i++) {
    int32_t length = (int32_t)s->message[i].msg_len;
    bool truncated = s->message[i].msg_hdr.msg_flags & MSG_TRUNC;
    s->length[i] = s->sender[i].nl_pid != 0 ? NOT_FROM_KERNEL : truncated ? -length : length;
  }
  return count;
}

static void on_readable(uv_poll_t *poll, int status, int events) {
  (void)events;
  netlink_socket *s = uv_handle_get_data((uv_handle_t *)poll);
  for (int batch = 0; batch < BATCHES_PER_TURN && !s->closed; batch++) {
    int count = receive_batch(s);
    if (count == -EINTR) continue;
    if (count == -EAGAIN) break;
    call_on_batch(s, count < 0 ? 0 : count, count < 0 ? -count : 0);
    if (count < (int)s->slots) break;
  }
  /* libuv stops a poll that saw POLLERR, which is how netlink reports a receive buffer that overran. */
  if (status < 0 && !s->closed) uv_poll_start(s->poll, UV_READABLE, on_readable);
}

static napi_value number(napi_env env, int64_t value) {
  napi_value result;
  napi_create_int64(env, value, &result);
  return result;
}

static netlink_socket *socket_of(napi_env env, napi_value value) {
  void *data = NULL;
  napi_get_value_external(env, value, &data);
  return data;
}

static int open_descriptor(int protocol) {
  struct sockaddr_nl address = {.nl_family = AF_NETLINK};
  int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol);
  if (fd < 0) return -errno;
  if (bind(fd, (struct sockaddr *)&address, sizeof address) == 0) return fd;
  int error = errno;
  close(fd);
  return -error;
}

static bool allocate_slots(netlink_socket *s, uint8_t *slab, size_t slab_size) {
  s->message = calloc(s->slots, sizeof *s->message);
  s->part = calloc(s->slots, sizeof *s->part);
  s->sender = calloc(s->slots, sizeof *s->sender);
  if (!s->message || !s->part || !s->sender) return false;
  size_t size = slab_size / s->slots;
  for (unsigned i = 0; i < s->slots; i++) {
    s->part[i] = (struct iovec){.iov_base = slab + i * size, .iov_len = size};
    s->message[i].msg_hdr = (struct msghdr){.msg_name = &s->sender[i], .msg_iov = &s->part[i], .msg_iovlen = 1};
  }
  return true;
}

static void keep_references(netlink_socket *s, napi_value slab, napi_value lengths, napi_value on_batch) {
  napi_value resource, name;
  napi_create_object(s->env, &resource);
  napi_create_string_utf8(s->env, "NetlinkSocket", NAPI_AUTO_LENGTH, &name);
  napi_create_reference(s->env, slab, 1, &s->slab);
  napi_create_reference(s->env, lengths, 1, &s->lengths);
  napi_create_reference(s->env, on_batch, 1, &s->on_batch);
  napi_create_reference(s->env, resource, 1, &s->resource);
  napi_async_init(s->env, resource, name, &s->context);
}

/* On failure the loop does not know the socket: uv_poll_start only fails for a descriptor watched twice. */
static int start_polling(netlink_socket *s) {
  uv_loop_t *loop;
  if (napi_get_uv_event_loop(s->env, &loop) != napi_ok) return -EINVAL;
  s->poll = malloc(uv_handle_size(UV_POLL));
  if (!s->poll) return -ENOMEM;
  int error = uv_poll_init(loop, s->poll, s->fd);
  if (error != 0) return error;
  uv_handle_set_data((uv_handle_t *)s->poll, s);
  return uv_poll_start(s->poll, UV_READABLE, on_readable);
}

/* open(protocol, slab: Uint8Array, lengths: Int32Array, on_batch): External, or a negative errno.
   The slab is cut into lengths.length slots of equal size. */
static napi_value js_open(napi_env env, napi_callback_info info) {
  size_t count = 4, slab_size, slots;
  napi_value argument[4], result;
  napi_typedarray_type type;
  napi_valuetype on_batch_type;
  int32_t protocol;
  void *slab, *lengths;
  napi_get_cb_info(env, info, &count, argument, NULL, NULL);
  if (napi_typeof(env, argument[3], &on_batch_type) != napi_ok || on_batch_type != napi_function ||
      napi_get_value_int32(env, argument[0], &protocol) != napi_ok ||
      napi_get_typedarray_info(env, argument[1], &type, &slab_size, &slab, NULL, NULL) != napi_ok ||
      type != napi_uint8_array ||
      napi_get_typedarray_info(env, argument[2], &type, &slots, &lengths, NULL, NULL) != napi_ok ||
      type != napi_int32_array || slots == 0 || slab_size < slots)
    return number(env, -EINVAL);

  int fd = open_descriptor(protocol);
  if (fd < 0) return number(env, fd);
  netlink_socket *s = calloc(1, sizeof *s);
  if (!s) {
    close(fd);
    return number(env, -ENOMEM);
  }
  s->env = env;
  s->fd = fd;
  s->references = 1;
  s->slots = slots;
  s->length = lengths;
  int error = allocate_slots(s, slab, slab_size) ? start_polling(s) : -ENOMEM;
  if (error != 0) {
    close(fd);
    release(s);
    return number(env, error);
  }
  keep_references(s, argument[1], argument[2], argument[3]);
  napi_add_async_cleanup_hook(env, on_environment_end, s, &s->hook);
  s->references = 2;
  napi_create_external(env, s, on_collected, NULL, &result);
  return result;
}

static ssize_t send_bytes(netlink_socket *s, const void *bytes, size_t length) {
  ssize_t sent;
  do sent = send(s->fd, bytes, length, 0);
  while (sent < 0 && errno == EINTR);
  return sent < 0 ? -errno : sent;
}

/* send(socket, bytes: Uint8Array, length): bytes sent, or a negative errno. */
static napi_value js_send(napi_env env, napi_callback_info info) {
  size_t count = 3, size;
  napi_value argument[3];
  void *bytes;
  int64_t length;
  napi_get_cb_info(env, info, &count, argument, NULL, NULL);
  netlink_socket *s = socket_of(env, argument[0]);
  if (!s || s->closed) return number(env, -EBADF);
  if (napi_get_typedarray_info(env, argument[1], NULL, &size, &bytes, NULL, NULL) != napi_ok ||
      napi_get_value_int64(env, argument[2], &length) != napi_ok || length < 0 || (size_t)length > size)
    return number(env, -EINVAL);
  return number(env, send_bytes(s, bytes, (size_t)length));
}

/* One datagram of the kernel, without waiting for it: its length, or a negative errno. */
static ssize_t receive_answer(netlink_socket *s, void *answer, size_t size) {
  struct sockaddr_nl sender = {0};
  socklen_t sender_size = sizeof sender;
  ssize_t length;
  do length = recvfrom(s->fd, answer, size, MSG_DONTWAIT | MSG_TRUNC, (struct sockaddr *)&sender, &sender_size);
  while ((length < 0 && errno == EINTR) || (length >= 0 && sender.nl_pid != 0));
  if (length < 0) return -errno;
  return (size_t)length > size ? -EMSGSIZE : length;
}

/* exchange(socket, request: Uint8Array, answer: Uint8Array): sends the request, and receives what the kernel has
   answered by then: the length of the answer, or a negative errno (EAGAIN: there is none yet). Without a request
   (empty) it only receives. */
static napi_value js_exchange(napi_env env, napi_callback_info info) {
  size_t count = 3, request_size, answer_size;
  napi_value argument[3];
  void *request, *answer;
  napi_get_cb_info(env, info, &count, argument, NULL, NULL);
  netlink_socket *s = socket_of(env, argument[0]);
  if (!s || s->closed) return number(env, -EBADF);
  if (napi_get_typedarray_info(env, argument[1], NULL, &request_size, &request, NULL, NULL) != napi_ok ||
      napi_get_typedarray_info(env, argument[2], NULL, &answer_size, &answer, NULL, NULL) != napi_ok)
    return number(env, -EINVAL);
  ssize_t sent = request_size == 0 ? 0 : send_bytes(s, request, request_size);
  return number(env, sent < 0 ? sent : receive_answer(s, answer, answer_size));
}

/* setFilter(socket, program: Uint8Array of struct sock_filter): 0 or a negative errno. */
static napi_value js_set_filter(napi_env env, napi_callback_info info) {
  size_t count = 2, size;
  napi_value argument[2];
  void *program;
  napi_get_cb_info(env, info, &count, argument, NULL, NULL);
  netlink_socket *s = socket_of(env, argument[0]);
  if (!s || s->closed) return number(env, -EBADF);
  if (napi_get_typedarray_info(env, argument[1], NULL, &size, &program, NULL, NULL) != napi_ok ||
      size % sizeof(struct sock_filter) != 0 || size / sizeof(struct sock_filter) > BPF_MAXINSNS)
    return number(env, -EINVAL);
  struct sock_fprog filter = {.len = (unsigned short)(size / sizeof(struct sock_filter)), .filter = program};
  int error = setsockopt(s->fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter);
  return number(env, error == 0 ? 0 : -errno);
}

/* setOption(socket, level, name, value: int): 0 or a negative errno. */
static napi_value js_set_option(napi_env env, napi_callback_info info) {
  size_t count = 4;
  napi_value argument[4];
  int32_t level, name, value;
  napi_get_cb_info(env, info, &count, argument, NULL, NULL);
  netlink_socket *s = socket_of(env, argument[0]);
  if (!s || s->closed) return number(env, -EBADF);
  if (napi_get_value_int32(env, argument[1], &level) != napi_ok ||
      napi_get_value_int32(env, argument[2], &name) != napi_ok ||
      napi_get_value_int32(env, argument[3], &value) != napi_ok)
    return number(env, -EINVAL);
  return number(env, setsockopt(s->fd, level, name, &value, sizeof value) == 0 ? 0 : -errno);
}

/* portId(socket): the netlink address the kernel gave to this socket. */
static napi_value js_port_id(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value argument[1];
  struct sockaddr_nl address = {0};
  socklen_t size = sizeof address;
  napi_get_cb_info(env, info, &count, argument, NULL, NULL);
  netlink_socket *s = socket_of(env, argument[0]);
  if (!s || s->closed) return number(env, -EBADF);
  if (getsockname(s->fd, (struct sockaddr *)&address, &size) != 0) return number(env, -errno);
  return number(env, address.nl_pid);
}

/* keepAlive(socket, yes): whether the open socket keeps the event loop running. */
static napi_value js_keep_alive(napi_env env, napi_callback_info info) {
  size_t count = 2;
  napi_value argument[2];
  bool yes = true;
  napi_get_cb_info(env, info, &count, argument, NULL, NULL);
  netlink_socket *s = socket_of(env, argument[0]);
  napi_get_value_bool(env, argument[1], &yes);
  if (s && !s->closed) (yes ? uv_ref : uv_unref)((uv_handle_t *)s->poll);
  return NULL;
}

static napi_value js_close(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value argument[1];
  napi_get_cb_info(env, info, &count, argument, NULL, NULL);
  netlink_socket *s = socket_of(env, argument[0]);
  if (s) close_socket(s);
  return NULL;
}

/* notify(path, text): one datagram to an AF_UNIX socket; a leading '@' names an abstract one (unix(7)).
   Returns 0 or a negative errno: EMSGSIZE for a text of 1024 bytes or more. */
static napi_value js_notify(napi_env env, napi_callback_info info) {
  size_t count = 2, path_length, text_length;
  napi_value argument[2];
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  char text[1024];
  napi_get_cb_info(env, info, &count, argument, NULL, NULL);
  if (napi_get_value_string_utf8(env, argument[0], NULL, 0, &path_length) != napi_ok ||
      path_length == 0 || path_length >= sizeof address.sun_path ||
      napi_get_value_string_utf8(env, argument[0], address.sun_path, sizeof address.sun_path, NULL) != napi_ok ||
      napi_get_value_string_utf8(env, argument[1], NULL, 0, &text_length) != napi_ok)
    return number(env, -EINVAL);
  if (text_length >= sizeof text) return number(env, -EMSGSIZE);
  napi_get_value_string_utf8(env, argument[1], text, sizeof text, &text_length);
  if (address.sun_path[0] == '@') address.sun_path[0] = '\0';
  int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return number(env, -errno);
  socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path_length);
  int error = sendto(fd, text, text_length, 0, (struct sockaddr *)&address, size) < 0 ? -errno : 0;
  close(fd);
  return number(env, error);
}

/* hungUp(fd): 1 where whoever was to read from a pipe or socket is gone (poll(2), POLLERR and POLLHUP), else 0. */
static napi_value js_hung_up(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value argument[1];
  struct pollfd polled = {0};
  napi_get_cb_info(env, info, &count, argument, NULL, NULL);
  if (napi_get_value_int32(env, argument[0], &polled.fd) != napi_ok) return number(env, -EINVAL);
  if (poll(&polled, 1, 0) < 0) return number(env, -errno);
  return number(env, (polled.revents & (POLLERR | POLLHUP)) != 0);
}

NAPI_MODULE_INIT() {
  const napi_property_descriptor functions[] = {
      {"open", NULL, js_open, NULL, NULL, NULL, napi_enumerable, NULL},
      {"send", NULL, js_send, NULL, NULL, NULL, napi_enumerable, NULL},
      {"exchange", NULL, js_exchange, NULL, NULL, NULL, napi_enumerable, NULL},
      {"setFilter", NULL, js_set_filter, NULL, NULL, NULL, napi_enumerable, NULL},
      {"setOption", NULL, js_set_option, NULL, NULL, NULL, napi_enumerable, NULL},
      {"portId", NULL, js_port_id, NULL, NULL, NULL, napi_enumerable, NULL},
      {"keepAlive", NULL, js_keep_alive, NULL, NULL, NULL, napi_enumerable, NULL},
      {"close", NULL, js_close, NULL, NULL, NULL, napi_enumerable, NULL},
      {"notify", NULL, js_notify, NULL, NULL, NULL, napi_enumerable, NULL},
      {"hungUp", NULL, js_hung_up, NULL, NULL, NULL, napi_enumerable, NULL},
  };
  napi_define_properties(env, exports, sizeof functions / sizeof *functions, functions);
  return exports;
}
