/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_blk_endpoints.c - the ways a front-end and the daemon find each other: a socket passed as
 * an fd, connected or listening, a front-end that listens itself, several disks, and sockets that
 * were left behind. The front-end against the real daemon.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "tests/protocol/blk_driver.h"

static struct disk disk;

static void works(struct disk *d)
{
	disk_fill(d, 3, 4096);
	ck_assert_uint_eq(disk_write(d, 0, 4096), VIRTIO_BLK_S_OK);
	memset(d->data, 0, 4096);
	ck_assert_uint_eq(disk_read(d, 0, 4096), VIRTIO_BLK_S_OK);
	ck_assert(disk_filled(d, 3, 4096));
}

static int listen_at(const char *path, int flags)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int sock = socket(AF_UNIX, SOCK_STREAM | flags, 0);

	ck_assert_int_ge(sock, 0);
	memcpy(addr.sun_path, path, strlen(path) + 1);
	unlink(path);
	ck_assert_int_eq(bind(sock, (struct sockaddr *)&addr, sizeof(addr)), 0);
	ck_assert_int_eq(listen(sock, 4), 0);
	return sock;
}

/* take - the daemon's connection to @listener. */
static int take(int listener, unsigned timeout_ms)
{
	struct pollfd poll_fd = {.fd = listener, .events = POLLIN};
	int sock;

	ck_assert_int_eq(poll(&poll_fd, 1, (int)timeout_ms), 1);
	sock = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	ck_assert_int_ge(sock, 0);
	return sock;
}

START_TEST(a_connected_fd_is_served_once)
{
	char options[64];
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	ck_assert_int_eq(fcntl(pair[1], F_SETFD, 0), 0); /* that one is inherited */
	snprintf(options, sizeof(options), "--fd=%d --blk-file=ram:8M", pair[1]);
	blkd_start(options);
	close(pair[1]);
	disk_adopt(&disk, pair[0]);
	works(&disk);
	disk_close(&disk);
	/* Nobody else can come. */
	ck_assert_int_eq(blkd_exit_status(), 0);
}
END_TEST

START_TEST(a_listening_fd_is_served_again_and_again)
{
	int listener = listen_at("given.sock", 0), i;
	char options[64];

	snprintf(options, sizeof(options), "--fd=%d --blk-file=ram:8M", listener);
	blkd_start(options);
	close(listener);
	for (i = 0; i < 3; i++) {
		disk_open(&disk, "given.sock", 0);
		works(&disk);
		disk_close(&disk);
	}
	blkd_stop();
	ck_assert_int_eq(access("given.sock", F_OK), 0); /* not the daemon's to remove */
}
END_TEST

START_TEST(a_client_finds_a_late_front_end_and_a_new_one)
{
	int listener, i;

	blkd_start("--socket-path=fe.sock --client --blk-file=ram:8M");
	usleep(400000); /* a few attempts fail */
	listener = listen_at("fe.sock", SOCK_CLOEXEC);
	for (i = 0; i < 2; i++) {
		disk_adopt(&disk, take(listener, 5000));
		works(&disk);
		disk_close(&disk);
	}
	/* And one that goes away and comes back at the same path. */
	close(listener);
	unlink("fe.sock");
	usleep(300000);
	listener = listen_at("fe.sock", SOCK_CLOEXEC);
	disk_adopt(&disk, take(listener, 10000));
	works(&disk);
	disk_close(&disk);
	close(listener);
	blkd_stop();
	ck_assert_int_eq(access("fe.sock", F_OK), 0);
}
END_TEST

START_TEST(a_client_ends_while_it_waits)
{
	blkd_start("--socket-path=nobody.sock --client --blk-file=ram:8M");
	usleep(50000);
	blkd_stop();
}
END_TEST

#define DISKS 5

START_TEST(disks_come_by_different_ways)
{
	static struct disk disks[DISKS];
	int listener = listen_at("given.sock", 0), pair[2], client, i;
	char options[512];

	client = listen_at("fe.sock", SOCK_CLOEXEC);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	ck_assert_int_eq(fcntl(pair[1], F_SETFD, 0), 0);
	make_image("a.img", 8 << 20);
	snprintf(options, sizeof(options),
		 "--disk=socket=a.sock,file=a.img --disk=socket=b.sock,file=ram:8M "
		 "--disk=socket=fe.sock,client,file=ram:9M --disk=fd=%d,file=ram:10M "
		 "--disk=fd=%d,file=ram:11M --threads=2",
		 listener, pair[1]);
	blkd_start(options);
	close(listener);
	close(pair[1]);
	disk_open(&disks[0], "a.sock", 0);
	disk_open(&disks[1], "b.sock", 0);
	disk_adopt(&disks[2], take(client, 5000));
	disk_open(&disks[3], "given.sock", 0);
	disk_adopt(&disks[4], pair[0]);
	for (i = 0; i < DISKS; i++)
		works(&disks[i]);
	/* The connected fd is used up; the others are served on. */
	disk_close(&disks[4]);
	usleep(100000);
	for (i = 0; i < DISKS - 1; i++)
		works(&disks[i]);
	for (i = 0; i < DISKS - 1; i++)
		disk_close(&disks[i]);
	close(client);
	blkd_stop();
	ck_assert_int_ne(access("a.sock", F_OK), 0);
	ck_assert_int_ne(access("b.sock", F_OK), 0);
}
END_TEST

START_TEST(a_stale_socket_is_taken_over)
{
	close(listen_at(BLKD_SOCKET, SOCK_CLOEXEC));
	blkd_start("--blk-file=ram:8M");
	disk_open(&disk, BLKD_SOCKET, 0);
	works(&disk);
	disk_close(&disk);
	blkd_stop();
	ck_assert_int_ne(access(BLKD_SOCKET, F_OK), 0);
}
END_TEST

START_TEST(only_the_owner_may_connect)
{
	struct stat st;

	umask(0);
	blkd_start("--blk-file=ram:8M");
	ck_assert_int_eq(stat(BLKD_SOCKET, &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0600);
	blkd_stop();
}
END_TEST

/* Another daemon's socket at that path by now is not removed. */
START_TEST(only_its_own_socket_is_removed)
{
	int other;

	blkd_start("--blk-file=ram:8M");
	wait_for(blkd_logged("at " BLKD_SOCKET)); /* until then it would miss its socket */
	other = listen_at(BLKD_SOCKET, SOCK_CLOEXEC);
	blkd_stop();
	ck_assert_int_eq(access(BLKD_SOCKET, F_OK), 0);
	close(other);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("blk_endpoints");
	TCase *tcase = tcase_create("endpoints");

	tcase_set_timeout(tcase, 30);
	tcase_add_test(tcase, a_connected_fd_is_served_once);
	tcase_add_test(tcase, a_listening_fd_is_served_again_and_again);
	tcase_add_test(tcase, a_client_finds_a_late_front_end_and_a_new_one);
	tcase_add_test(tcase, a_client_ends_while_it_waits);
	tcase_add_test(tcase, disks_come_by_different_ways);
	tcase_add_test(tcase, a_stale_socket_is_taken_over);
	tcase_add_test(tcase, only_the_owner_may_connect);
	tcase_add_test(tcase, only_its_own_socket_is_removed);
	suite_add_tcase(suite, tcase);
	return run_in_scratch(suite);
}
