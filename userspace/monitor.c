// SPDX-License-Identifier: GPL-2.0
/*
 * bhsec monitor: events as they happen, and what is configured.
 */
#include <errno.h>
#include <linux/genetlink.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "context.h"
#include "journal.h"
#include "message.h"
#include "names.h"
#include "output.h"
#include "print.h"
#include "show.h"

/* A burst of events waits here while the reader is busy. */
#define RECEIVE_BUFFER (4 << 20)

static void print_time(struct output *out)
{
	char day[32], zone[8], text[64];
	struct timespec now;
	struct tm tm;

	clock_gettime(CLOCK_REALTIME, &now);
	localtime_r(&now.tv_sec, &tm);
	strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &tm);
	strftime(zone, sizeof(zone), "%z", &tm);
	/* ISO 8601 has a colon in +01:00, strftime() has not */
	snprintf(text, sizeof(text), "%s.%03ld%.3s:%s", day,
		 now.tv_nsec / 1000000, zone, zone + 3);
	out_named(out, "time", NULL, text);
}

static void print_suppressed(struct output *out, const struct nlattr *attr)
{
	uint32_t suppressed = attr ? mnl_attr_get_u32(attr) : 0;

	if (suppressed || out->json)
		out_number(out, "suppressed", suppressed);
}

static void print_attrs(struct output *out, const struct nlattr **attrs)
{
	print_string(out, "device", NULL, attrs[BHSEC_A_EVENT_IFNAME]);
	print_string(out, "peer", "peer", attrs[BHSEC_A_EVENT_PEER]);
	if (attrs[BHSEC_A_EVENT_DIRECTION])
		out_named(out, "direction", NULL,
			  names_word(&direction_names,
				     mnl_attr_get_u32(attrs[BHSEC_A_EVENT_DIRECTION])));
	if (attrs[BHSEC_A_EVENT_SPI])
		out_hex(out, "spi", mnl_attr_get_u32(attrs[BHSEC_A_EVENT_SPI]));
	if (attrs[BHSEC_A_EVENT_SEQ])
		out_number(out, "seq",
			   mnl_attr_get_u64(attrs[BHSEC_A_EVENT_SEQ]));
	print_address(out, "src", NULL, attrs[BHSEC_A_EVENT_SRC]);
	print_address(out, "dst", ">", attrs[BHSEC_A_EVENT_DST]);
	print_address(out, "from", "from", attrs[BHSEC_A_EVENT_FROM]);
	print_suppressed(out, attrs[BHSEC_A_EVENT_SUPPRESSED]);
	print_string(out, "reason", "reason", attrs[BHSEC_A_EVENT_REASON]);
}

static void print_device_change(struct output *out, const struct nlmsghdr *nlh)
{
	const struct nlattr *attrs[BHSEC_A_DEVICE_MAX + 1];

	nl_attrs(nlh, attrs, BHSEC_A_DEVICE_MAX);
	print_device_settings(out, attrs);
	print_string(out, "reason", "reason", attrs[BHSEC_A_DEVICE_REASON]);
}

static void print_whose(struct output *out, const struct nlattr *ifname,
			const struct nlattr *peer)
{
	print_string(out, "device", NULL, ifname);
	print_string(out, "peer", "peer", peer);
}

static void print_peer_change(struct output *out, const struct nlmsghdr *nlh)
{
	const struct nlattr *attrs[BHSEC_A_PEER_MAX + 1];

	nl_attrs(nlh, attrs, BHSEC_A_PEER_MAX);
	print_whose(out, attrs[BHSEC_A_PEER_IFNAME], attrs[BHSEC_A_PEER_NAME]);
	print_peer_settings(out, attrs);
	print_peer_selectors(out, attrs);
	print_traffic_selectors(out, nlh, false);
}

static void print_sa_change(struct output *out, const struct nlmsghdr *nlh)
{
	const struct nlattr *attrs[BHSEC_A_SA_MAX + 1];

	nl_attrs(nlh, attrs, BHSEC_A_SA_MAX);
	print_whose(out, attrs[BHSEC_A_SA_IFNAME], attrs[BHSEC_A_SA_PEER]);
	print_sa_settings(out, attrs);
}

/* What becomes of the configuration, by the command that tells it. */
static const struct change {
	const char *word;
	void (*print)(struct output *out, const struct nlmsghdr *nlh);
} changes[BHSEC_CMD_MAX + 1] = {
	[BHSEC_CMD_DEV_SET_NTF] = { "device_set", print_device_change },
	[BHSEC_CMD_PEER_ADD_NTF] = { "peer_add", print_peer_change },
	[BHSEC_CMD_PEER_SET_NTF] = { "peer_set", print_peer_change },
	[BHSEC_CMD_PEER_DEL_NTF] = { "peer_del", print_peer_change },
	[BHSEC_CMD_SA_ADD_NTF] = { "sa_add", print_sa_change },
	[BHSEC_CMD_SA_SET_NTF] = { "sa_set", print_sa_change },
	[BHSEC_CMD_SA_DEL_NTF] = { "sa_del", print_sa_change },
};

/* An entry of a journal has its time by itself. */
static void begin(struct output *out, const char *event)
{
	out_object(out, NULL);
	if (out->journal)
		journal_begin(out->journal, event);
	else
		print_time(out);
	out_named(out, "event", NULL, event);
}

static void end(struct output *out)
{
	out_object_end(out);
	out_end(out);
	if (out->journal)
		journal_send(out->journal);
}

static void print_event(struct output *out, const struct nlmsghdr *nlh)
{
	const struct nlattr *attrs[BHSEC_A_EVENT_MAX + 1];

	nl_attrs(nlh, attrs, BHSEC_A_EVENT_MAX);
	if (!attrs[BHSEC_A_EVENT_EVENT])
		return;
	begin(out, names_word(&event_names,
			      mnl_attr_get_u32(attrs[BHSEC_A_EVENT_EVENT])));
	print_attrs(out, attrs);
	end(out);
}

static void print_change(struct output *out, const struct nlmsghdr *nlh)
{
	const struct genlmsghdr *genl = mnl_nlmsg_get_payload(nlh);
	const struct change *change = &changes[genl->cmd];

	begin(out, change->word);
	change->print(out, nlh);
	end(out);
}

/* A newer module may tell more than this tool knows. */
static void print_message(struct output *out, const struct nlmsghdr *nlh)
{
	const struct genlmsghdr *genl = mnl_nlmsg_get_payload(nlh);

	if (genl->cmd == BHSEC_CMD_EVENT)
		print_event(out, nlh);
	else if (genl->cmd <= BHSEC_CMD_MAX && changes[genl->cmd].print)
		print_change(out, nlh);
}

/* The kernel had more than the receive buffer holds. */
static void print_lost(struct output *out)
{
	begin(out, "lost");
	end(out);
}

static bool is_unload(const struct nl *nl, const struct nlmsghdr *nlh)
{
	const struct genlmsghdr *genl = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *attrs[CTRL_ATTR_MAX + 1];

	if (nlh->nlmsg_type != GENL_ID_CTRL ||
	    genl->cmd != CTRL_CMD_DELFAMILY)
		return false;
	nl_attrs(nlh, attrs, CTRL_ATTR_MAX);
	return attrs[CTRL_ATTR_FAMILY_ID] &&
	       mnl_attr_get_u16(attrs[CTRL_ATTR_FAMILY_ID]) == nl->family;
}

/* Returns whether the module is still there. */
static bool take_events(struct nl *nl, struct output *out, ssize_t size)
{
	const struct nlmsghdr *nlh = (void *)nl->answer;
	int len = size;

	for (; mnl_nlmsg_ok(nlh, len); nlh = mnl_nlmsg_next(nlh, &len)) {
		if (nlh->nlmsg_type == nl->family)
			print_message(out, nlh);
		else if (is_unload(nl, nlh))
			return false;
	}
	return true;
}

static int join(struct nl *nl, unsigned int group)
{
	return mnl_socket_setsockopt(nl->socket, NETLINK_ADD_MEMBERSHIP, &group,
				     sizeof(group));
}

static int subscribe(struct nl *nl)
{
	int fd = mnl_socket_get_fd(nl->socket);
	int size = RECEIVE_BUFFER;

	/* the second, for those who may, is not bound by rmem_max */
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	/* an older module has no such group */
	if (join(nl, nl->events) < 0 ||
	    (nl->config && join(nl, nl->config) < 0))
		return errno == EPERM ?
			refuse("monitor: this needs the capability CAP_NET_ADMIN") :
			refuse("monitor: %s", strerror(errno));
	/* to hear when the module goes: its number is that of the controller */
	join(nl, GENL_ID_CTRL);
	return 0;
}

/* A descriptor that tells of SIGINT and SIGTERM. */
static int open_signals(void)
{
	sigset_t set;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC);
}

/* Has all that was told got where it is read? If not, @status is how to end. */
static bool is_written(const struct output *out, int *status)
{
	int error = out->journal ? journal_error(out->journal) : 0;

	if (error)
		*status = refuse("monitor: the journal takes no entry: %s",
				 strerror(error));
	else if (fflush(stdout))
		*status = output_ended("monitor");
	else
		return true;
	return false;
}

static int watch(struct nl *nl, struct output *out, int signals)
{
	struct pollfd fds[] = {
		{ .fd = mnl_socket_get_fd(nl->socket), .events = POLLIN },
		{ .fd = signals, .events = POLLIN },
		/* no events: only that the reader has gone */
		{ .fd = out->journal ? -1 : STDOUT_FILENO },
	};
	int status;
	ssize_t size;

	for (;;) {
		if (poll(fds, 3, -1) < 0 && errno != EINTR)
			return refuse("monitor: %s", strerror(errno));
		if (fds[1].revents || fds[2].revents & (POLLERR | POLLHUP))
			return 0;
		if (!fds[0].revents)
			continue;
		size = mnl_socket_recvfrom(nl->socket, nl->answer,
					   sizeof(nl->answer));
		if (size < 0 && errno == ENOBUFS)
			print_lost(out);
		else if (size < 0 && errno != EINTR)
			return refuse("monitor: %s", strerror(errno));
		if (size > 0 && !take_events(nl, out, size))
			return refuse("monitor: the bhsec module was unloaded");
		if (!is_written(out, &status))
			return status;
	}
}

static int take_flags(struct output *out, bool *journal, struct words *words)
{
	const char *word;

	while ((word = words_take(words))) {
		if (strcmp(word, "-j") == 0 || strcmp(word, "--json") == 0)
			out->json = true;
		else if (strcmp(word, "--journal") == 0)
			*journal = true;
		else
			return misuse("monitor: %s is too much", quoted(word));
	}
	if (*journal && out->json)
		return misuse("monitor: --journal does not go with -j");
	return 0;
}

static int hear(struct context *ctx, struct output *out)
{
	int signals = open_signals();
	int status;

	if (signals < 0)
		return refuse("monitor: %s", strerror(errno));
	status = context_connect(ctx) ? subscribe(ctx->nl) : EXIT_REFUSED;
	if (!status)
		status = watch(ctx->nl, out, signals);
	close(signals);
	return status;
}

/**
 * cmd_monitor - bhsec monitor [-j | --journal]
 * @ctx: the process
 * @words: what follows the verb
 *
 * Return: exit status.
 */
int cmd_monitor(struct context *ctx, struct words *words)
{
	struct output out = {
		.json = ctx->json,
	};
	bool journal = false;
	int status;

	if (ctx->in_batch)
		return misuse("monitor: it never ends, so no batch has it");
	status = take_flags(&out, &journal, words);
	if (status)
		return status;
	if (journal) {
		out.journal = journal_open();
		if (!out.journal)
			return EXIT_REFUSED;
	}
	status = hear(ctx, &out);
	journal_close(out.journal);
	return status;
}
