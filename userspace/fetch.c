// SPDX-License-Identifier: GPL-2.0
/*
 * Devices, their peers and SAs, as the kernel has them. How it refuses is left to
 * who asks, and so is the request, whose subject a sentence needs.
 */
#include "fetch.h"

/* About a device, or a peer of it; the numbers are of their attributes. */
static void begin_about(struct context *ctx, struct request *req, uint8_t command,
			uint16_t device_attr, uint32_t ifindex,
			uint16_t peer_attr, const char *peer)
{
	request_begin(req, ctx->buffer, sizeof(ctx->buffer), command);
	request_put(req, device_attr, sizeof(ifindex), &ifindex);
	if (peer)
		request_put_text(req, peer_attr, peer);
}

/**
 * fetch_devices - ask for a device, or for all
 * @ctx: the process
 * @device: its name, NULL for all
 * @req: becomes the request
 * @devices: gets them
 *
 * Return: how the kernel refused, if so.
 */
struct nl_error fetch_devices(struct context *ctx, const char *device,
			      struct request *req, struct nl_records *devices)
{
	request_begin(req, ctx->buffer, sizeof(ctx->buffer), BHSEC_CMD_DEV_GET);
	if (!device)
		return nl_dump(ctx->nl, req, devices);
	request_put_text(req, BHSEC_A_DEVICE_IFNAME, device);
	return nl_do(ctx->nl, req, devices);
}

/**
 * fetch_peers - ask for a peer of a device, or for all
 * @ctx: the process
 * @ifindex: of the device
 * @peer: its name, NULL for all
 * @req: becomes the request
 * @peers: gets them
 *
 * Return: how the kernel refused, if so.
 */
struct nl_error fetch_peers(struct context *ctx, uint32_t ifindex,
			    const char *peer, struct request *req,
			    struct nl_records *peers)
{
	begin_about(ctx, req, BHSEC_CMD_PEER_GET, BHSEC_A_PEER_IFINDEX, ifindex,
		    BHSEC_A_PEER_NAME, peer);
	return peer ? nl_do(ctx->nl, req, peers) : nl_dump(ctx->nl, req, peers);
}

/**
 * fetch_sas - ask for the SAs of a peer of a device, or for those of all
 * @ctx: the process
 * @ifindex: of the device
 * @peer: its name, NULL for all
 * @req: becomes the request
 * @sas: gets them
 *
 * Return: how the kernel refused, if so.
 */
struct nl_error fetch_sas(struct context *ctx, uint32_t ifindex,
			  const char *peer, struct request *req,
			  struct nl_records *sas)
{
	begin_about(ctx, req, BHSEC_CMD_SA_GET, BHSEC_A_SA_IFINDEX, ifindex,
		    BHSEC_A_SA_PEER, peer);
	return nl_dump(ctx->nl, req, sas);
}
