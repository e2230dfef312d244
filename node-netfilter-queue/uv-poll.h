/*
 * The part of libuv's interface that binding.c uses, as include/uv.h of libuv 1.x declares it. Every Node exports
 * these functions, but not every Node comes with the header. Handles are opaque here and have the size that
 * uv_handle_size() tells: so one build fits the libuv of each Node.
 */
#ifndef UV_POLL_H
#define UV_POLL_H

#include <stddef.h>

typedef struct uv_loop_s uv_loop_t;
typedef struct uv_handle_s uv_handle_t;
typedef struct uv_poll_s uv_poll_t;
typedef void (*uv_close_cb)(uv_handle_t *handle);
typedef void (*uv_poll_cb)(uv_poll_t *handle, int status, int events);

/* UV_HANDLE_TYPE_MAP, counted from UV_UNKNOWN_HANDLE = 0. */
typedef enum { UV_POLL = 8 } uv_handle_type;
enum uv_poll_event { UV_READABLE = 1 };

size_t uv_handle_size(uv_handle_type type);
void *uv_handle_get_data(const uv_handle_t *handle);
void uv_handle_set_data(uv_handle_t *handle, void *data);
void uv_ref(uv_handle_t *handle);
void uv_unref(uv_handle_t *handle);
void uv_close(uv_handle_t *handle, uv_close_cb close_cb);
int uv_poll_init(uv_loop_t *loop, uv_poll_t *handle, int fd);
int uv_poll_start(uv_poll_t *handle, int events, uv_poll_cb cb);

#endif
