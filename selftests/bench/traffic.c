// SPDX-License-Identifier: GPL-2.0
/*
 * traffic - load between two network namespaces, measured
 *
 *	traffic KIND NS-FROM NS-TO ADDRESS [NAME=VALUE...]
 *
 * A fixed amount of work: first the warm-up, then what is measured. The clock
 * is read when the warm-up is over and again when the last byte has arrived.
 * Result: one line of JSON. Kinds:
 *
 *	tcp	streams in one direction, each of two processes
 *	udp	a closed loop: a burst of datagrams is sent, then received, by one
 *		process at both ends, so that no scheduling is measured
 *	ping	the same with one datagram, which is sent back
 *	tx	datagrams that nobody receives
 *
 * The clock is the time stamp counter: under QEMU's icount with shift 0 it
 * counts instructions, and a nanosecond for each while the CPU sleeps, which is
 * taken off.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <fcntl.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>
#include <x86intrin.h>

#include "mark.h"

#define PORT		5201
#define PIECE		(128 << 10)	/* what TCP writes and reads at once */
#define UDP_HEADERS	28		/* sizes are those of IPv4 packets */
#define MAX_STREAMS	16
#define MAX_SIZES	16

enum kind { TCP, UDP, PING, TX };

static struct {
	enum kind kind;
	const char *from, *to;
	struct sockaddr_in address;
	int streams;
	int burst;
	int sizes[MAX_SIZES];	/* of the datagrams, in turn */
	int nr_sizes;
	bool gso;		/* a burst is one UDP_SEGMENT call */
	bool check;		/* every byte, at the receiver */
	long warm, count;	/* bytes of a TCP stream, datagrams of UDP */
} job = {
	.streams = 1, .burst = 1, .sizes = { 64 }, .nr_sizes = 1,
};

struct report {
	uint64_t ticks;		/* without idle */
	uint64_t idle;
	uint64_t median;	/* of a burst */
	long retransmissions;
	long acks, segments;
	long mss;
};

static void enter(const char *name)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "/run/netns/%s", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || setns(fd, CLONE_NEWNET))
		err(1, "%s", path);
	close(fd);
}

/* Byte number @at of a stream. */
static uint8_t byte_of(uint64_t at)
{
	return at * 0x9e3779b97f4a7c15ull >> 56;
}

static void fill(uint8_t *data, size_t len, uint64_t at)
{
	for (size_t n = 0; n < len; n++)
		data[n] = byte_of(at + n);
}

static void verify(const uint8_t *data, size_t len, uint64_t at)
{
	for (size_t n = 0; n < len; n++)
		if (data[n] != byte_of(at + n))
			errx(1, "byte %zu after %llu is wrong", n,
			     (unsigned long long)at);
}

/* For how long the CPU has slept, by the bench's module. */
static uint64_t idle_time(void)
{
	FILE *file = fopen("/sys/module/bench/parameters/idle", "r");
	unsigned long long idle;

	if (!file || fscanf(file, "%llu", &idle) != 1)
		err(1, "the bench's module");
	fclose(file);
	return idle;
}

static void start_clock(struct report *report)
{
	report->idle = -idle_time();
	if (!job.check)
		mark_begin();
	report->ticks = -__rdtsc();
}

static void stop_clock(struct report *report)
{
	report->ticks += __rdtsc();
	if (!job.check)
		mark_end();
	report->idle += idle_time();
	report->ticks -= report->idle;
}

static int bound_socket(int type)
{
	struct sockaddr_in any = {
		.sin_family = AF_INET, .sin_port = htons(PORT),
	};
	int sock = socket(AF_INET, type, 0), on = 1;

	if (setsockopt(sock, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) ||
	    bind(sock, (void *)&any, sizeof(any)))
		err(1, "port %d", PORT);
	return sock;
}

static int connected_socket(int type)
{
	int sock = socket(AF_INET, type, 0);

	if (connect(sock, (void *)&job.address, sizeof(job.address)))
		err(1, "connect");
	return sock;
}

static void print(const struct report *report, long count)
{
	printf("{\"ticks\": %llu, \"count\": %ld, \"median\": %llu, ",
	       (unsigned long long)report->ticks, count,
	       (unsigned long long)report->median);
	printf("\"idle\": %llu, \"mss\": %ld, \"retransmissions\": %ld, ",
	       (unsigned long long)report->idle, report->mss,
	       report->retransmissions);
	printf("\"acks\": %ld, \"segments\": %ld}\n", report->acks,
	       report->segments);
}

/* TCP */

struct stream {
	int go;			/* the parent releases the sender */
	int done;		/* the sender reports */
	struct report warm, end;
};

static void write_all(int fd, const void *data, size_t len)
{
	if (write(fd, data, len) != (ssize_t)len)
		err(1, "write");
}

static void read_all(int fd, void *data, size_t len)
{
	if (read(fd, data, len) != (ssize_t)len)
		errx(1, "a partner ended early");
}

/* True in a new process, which ends with its parent. */
static bool child(void)
{
	pid_t pid = fork();

	if (pid < 0)
		err(1, "fork");
	if (!pid)
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	return !pid;
}

static void tcp_receive(int sock, uint8_t *buffer, long bytes, uint64_t at)
{
	ssize_t got;

	for (; bytes > 0; bytes -= got, at += got) {
		got = recv(sock, buffer, bytes < PIECE ? bytes : PIECE, 0);
		if (got <= 0)
			err(1, "recv");
		if (job.check)
			verify(buffer, got, at);
	}
	write_all(sock, "", 1);
}

static void tcp_receiver(int listener)
{
	uint8_t *buffer = calloc(1, PIECE);
	int sock = accept(listener, NULL, NULL);

	if (sock < 0)
		err(1, "accept");
	tcp_receive(sock, buffer, job.warm, 0);
	tcp_receive(sock, buffer, job.count, job.warm);
}

/* Returns when the other end has all of it. */
static void tcp_send(int sock, uint8_t *buffer, long bytes, uint64_t at)
{
	ssize_t sent;

	for (; bytes > 0; bytes -= sent, at += sent) {
		size_t len = bytes < PIECE ? bytes : PIECE;

		if (job.check)
			fill(buffer, len, at);
		sent = send(sock, buffer, len, 0);
		if (sent < 0)
			err(1, "send");
	}
	read_all(sock, buffer, 1);
}

static void tcp_report(int sock, const struct stream *stream)
{
	struct tcp_info info = {};
	socklen_t len = sizeof(info);
	struct report report = {};

	if (getsockopt(sock, IPPROTO_TCP, TCP_INFO, &info, &len))
		err(1, "TCP_INFO");
	report.retransmissions = info.tcpi_total_retrans;
	report.acks = info.tcpi_segs_in;
	report.segments = info.tcpi_data_segs_out;
	report.mss = info.tcpi_snd_mss;
	write_all(stream->done, &report, sizeof(report));
}

static void tcp_sender(const struct stream *stream)
{
	uint8_t *buffer = calloc(1, PIECE);
	int sock = connected_socket(SOCK_STREAM);
	char byte;

	tcp_send(sock, buffer, job.warm, 0);
	tcp_report(sock, stream);
	read_all(stream->go, &byte, 1);
	tcp_send(sock, buffer, job.count, job.warm);
	tcp_report(sock, stream);
}

static void start_receivers(void)
{
	int listener = bound_socket(SOCK_STREAM);

	if (listen(listener, MAX_STREAMS))
		err(1, "listen");
	for (int n = 0; n < job.streams; n++)
		if (child()) {
			tcp_receiver(listener);
			exit(0);
		}
	close(listener);
}

static void start_sender(struct stream *stream)
{
	int go[2], done[2];

	if (pipe(go) || pipe(done))
		err(1, "pipe");
	stream->go = go[0];
	stream->done = done[1];
	if (child()) {
		close(go[1]);
		tcp_sender(stream);
		exit(0);
	}
	close(go[0]);
	close(done[1]);
	stream->go = go[1];
	stream->done = done[0];
}

static void sum_up(struct report *sum, const struct stream *stream)
{
	/* With those of the warm-up, whose losses would slow the rest. */
	sum->retransmissions += stream->end.retransmissions;
	sum->acks += stream->end.acks - stream->warm.acks;
	sum->segments += stream->end.segments - stream->warm.segments;
	sum->mss = stream->end.mss;
}

static void measure_tcp(void)
{
	struct stream streams[MAX_STREAMS] = {};
	struct report sum = {};

	enter(job.to);
	start_receivers();
	enter(job.from);
	for (int n = 0; n < job.streams; n++)
		start_sender(&streams[n]);
	for (int n = 0; n < job.streams; n++)
		read_all(streams[n].done, &streams[n].warm, sizeof(sum));
	start_clock(&sum);
	for (int n = 0; n < job.streams; n++)
		write_all(streams[n].go, "", 1);
	for (int n = 0; n < job.streams; n++)
		read_all(streams[n].done, &streams[n].end, sizeof(sum));
	stop_clock(&sum);
	for (int n = 0; n < job.streams; n++)
		sum_up(&sum, &streams[n]);
	print(&sum, job.count * job.streams);
}

/* UDP */

static int payload(long number)
{
	return job.sizes[number % job.nr_sizes] - UDP_HEADERS;
}

struct ends {
	int from;			/* connected */
	int to;				/* as a server's */
	struct sockaddr_in client;	/* who sent to the server */
};

static void send_datagram(int sock, uint8_t *buffer, long number,
			  const struct sockaddr_in *to)
{
	int len = payload(number);

	if (job.check)
		fill(buffer, len, number << 16);
	if (sendto(sock, buffer, len, 0, (void *)to, to ? sizeof(*to) : 0) != len)
		err(1, "datagram %ld", number);
}

static void send_segments(int sock, uint8_t *buffer, long first)
{
	int len = payload(first), total = len * job.burst;

	if (job.check)
		for (int n = 0; n < job.burst; n++)
			fill(buffer + n * len, len, (first + n) << 16);
	if (send(sock, buffer, total, 0) != total)
		err(1, "datagrams from %ld on", first);
}

static void receive_datagram(int sock, uint8_t *buffer, long number,
			     struct sockaddr_in *from)
{
	socklen_t size = sizeof(*from);
	ssize_t got = recvfrom(sock, buffer, UINT16_MAX, 0, (void *)from,
			       from ? &size : NULL);

	if (got < 0)
		err(1, "datagram %ld does not come", number);
	if (got != payload(number))
		errx(1, "datagram %ld has %zd bytes", number, got);
	if (job.check)
		verify(buffer, got, number << 16);
}

static void udp_burst(struct ends *ends, uint8_t *buffer, long first)
{
	if (job.gso)
		send_segments(ends->from, buffer, first);
	for (int n = 0; n < job.burst && !job.gso; n++)
		send_datagram(ends->from, buffer, first + n, NULL);
	if (job.kind == TX)
		return;
	for (int n = 0; n < job.burst; n++)
		receive_datagram(ends->to, buffer, first + n, &ends->client);
	if (job.kind != PING)
		return;
	send_datagram(ends->to, buffer, first, &ends->client);
	receive_datagram(ends->from, buffer, first, NULL);
}

/*
 * Until everybody else has done what there was to do: a tunnel may encrypt in
 * a thread of its own.
 */
static void wait_for_others(void)
{
	struct sched_param none = {};

	sched_setscheduler(0, SCHED_IDLE, &none);
	for (int n = 0; n < 16; n++)
		sched_yield();
	sched_setscheduler(0, SCHED_OTHER, &none);
}

static void udp_run(struct ends *ends, long first, long count, uint64_t *times)
{
	static uint8_t buffer[UINT16_MAX];
	uint64_t begin;

	for (long done = 0; done < count; done += job.burst) {
		begin = __rdtsc();
		udp_burst(ends, buffer, first + done);
		*times++ = __rdtsc() - begin;
	}
	if (job.kind == TX)
		wait_for_others();
}

static void be_patient(int sock)
{
	struct timeval patience = { .tv_sec = 2 };
	int room = 8 << 20;

	if (setsockopt(sock, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room)) ||
	    setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)))
		err(1, "setsockopt");
}

static void open_ends(struct ends *ends)
{
	int segment = payload(0);

	enter(job.to);
	ends->to = bound_socket(SOCK_DGRAM);
	be_patient(ends->to);
	enter(job.from);
	ends->from = connected_socket(SOCK_DGRAM);
	be_patient(ends->from);
	if (job.gso && setsockopt(ends->from, IPPROTO_UDP, UDP_SEGMENT, &segment,
				  sizeof(segment)))
		err(1, "UDP_SEGMENT");
}

static int by_size(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void measure_udp(void)
{
	long bursts = job.count / job.burst, warm = job.warm / job.burst;
	size_t size = (bursts > warm ? bursts : warm) * sizeof(uint64_t);
	uint64_t *times = malloc(size);
	struct report report = {};
	struct ends ends;

	/* The pages of the table belong to the warm-up. */
	memset(times, 1, size);
	open_ends(&ends);
	udp_run(&ends, 0, job.warm, times);
	start_clock(&report);
	udp_run(&ends, job.warm, job.count, times);
	stop_clock(&report);
	qsort(times, bursts, sizeof(*times), by_size);
	report.median = times[bursts / 2];
	print(&report, job.count);
}

/* The command line */

static enum kind kind_of(const char *name)
{
	static const char * const names[] = {
		[TCP] = "tcp", [UDP] = "udp", [PING] = "ping", [TX] = "tx",
	};

	for (int n = 0; n < 4; n++)
		if (!strcmp(name, names[n]))
			return n;
	errx(2, "%s is no kind of traffic", name);
}

static void parse_sizes(char *list)
{
	job.nr_sizes = 0;
	for (char *word = strtok(list, ","); word && job.nr_sizes < MAX_SIZES;
	     word = strtok(NULL, ","))
		job.sizes[job.nr_sizes++] = atoi(word);
}

static void parse(char *option)
{
	char *value = strchr(option, '=');

	if (!value)
		errx(2, "%s: no NAME=VALUE", option);
	*value++ = 0;
	if (!strcmp(option, "streams"))
		job.streams = atoi(value);
	else if (!strcmp(option, "burst"))
		job.burst = atoi(value);
	else if (!strcmp(option, "size"))
		parse_sizes(value);
	else if (!strcmp(option, "gso"))
		job.gso = atoi(value);
	else if (!strcmp(option, "check"))
		job.check = atoi(value);
	else if (!strcmp(option, "warm"))
		job.warm = atol(value);
	else if (!strcmp(option, "count"))
		job.count = atol(value);
	else
		errx(2, "%s is no option", option);
}

int main(int argc, char **argv)
{
	if (argc < 5)
		errx(2, "usage: traffic KIND NS-FROM NS-TO ADDRESS [NAME=VALUE...]");
	job.kind = kind_of(argv[1]);
	job.from = argv[2];
	job.to = argv[3];
	job.address.sin_family = AF_INET;
	job.address.sin_port = htons(PORT);
	if (!inet_aton(argv[4], &job.address.sin_addr))
		errx(2, "%s is no address", argv[4]);
	for (int n = 5; n < argc; n++)
		parse(argv[n]);
	if (job.kind == TCP)
		measure_tcp();
	else
		measure_udp();
	return 0;
}
