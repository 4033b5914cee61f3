// SPDX-License-Identifier: GPL-2.0
/*
 * bhsec set: settings of a device.
 */
#include <stdio.h>
#include <string.h>

#include "context.h"
#include "message.h"
#include "options.h"
#include "util.h"

static const char *put_dev(struct request *req, const struct option *option,
			   struct said *said)
{
	if (strcmp(said->text, "any") == 0)
		return request_put_text(req, option->attr, "");
	if (!*said->text || said->len >= DEVICE_NAME_SIZE)
		return "a device's name has 1 to 127 bytes";
	return request_put_text(req, option->attr, said->text);
}

static const char *put_outer_dscp(struct request *req,
				  const struct option *option, struct said *said)
{
	const uint8_t copy = BHSEC_DSCP_COPY;

	if (strcmp(said->text, "copy") == 0)
		return request_put(req, option->attr, sizeof(copy), &copy);
	return put_dscp(req, option, said) ?
	       "must be copy, a number from 0 to 63 or one of be, ef, csN, afNN" :
	       NULL;
}

/* Zero, in either family, is what the kernel takes for any. */
static const char *put_local(struct request *req, const struct option *option,
			     struct said *said)
{
	struct address addr;
	const char *reason;

	(void)option;
	reason = parse_address(said->text, said->len, &addr);
	if (reason)
		return reason;
	return request_put(req, addr.len == 16 ? BHSEC_A_DEVICE_LOCAL6 :
			   BHSEC_A_DEVICE_LOCAL4, addr.len, addr.bytes);
}

static const struct option options[] = {
	OPTION_NUMBER("port", BHSEC_A_DEVICE_PORT, 2, 1, UINT16_MAX),
	{ .word = "dev", .put = put_dev, .attr = BHSEC_A_DEVICE_DEV },
	OPTION_NUMBER("fwmark", BHSEC_A_DEVICE_FWMARK, 4, 0, UINT32_MAX),
	{ .word = "dscp", .put = put_outer_dscp, .attr = BHSEC_A_DEVICE_DSCP },
	OPTION_NAME("df", BHSEC_A_DEVICE_DF, 4, &df_names),
	{ .word = "local", .put = put_local },
	OPTION_NUMBER("window", BHSEC_A_DEVICE_WINDOW, 4, 1, BHSEC_WINDOW_MAX),
	{ .word = "if-id", .put = put_number, .attr = BHSEC_A_DEVICE_IF_ID,
	  .size = 4, .max = UINT32_MAX, .then = "shared",
	  .then_attr = BHSEC_A_DEVICE_SHARED },
};

/**
 * cmd_set - bhsec set DEVICE OPTION...
 * @ctx: the process
 * @words: what follows the verb
 *
 * Return: exit status.
 */
int cmd_set(struct context *ctx, struct words *words)
{
	struct request req;
	char *device;
	int status;

	status = take_device(words, "set", &device);
	if (status)
		return status;
	if (!words_peek(words))
		return misuse("set %s: there is nothing to set", device);
	request_begin(&req, ctx->buffer, sizeof(ctx->buffer),
		      BHSEC_CMD_DEV_SET);
	snprintf(req.subject, sizeof(req.subject), "%s", device);
	request_put_text(&req, BHSEC_A_DEVICE_IFNAME, device);
	status = options_take(words, options, ARRAY_SIZE(options), &req);
	return status ? status : context_send(ctx, &req);
}
