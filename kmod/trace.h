/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What is dropped, for perf trace and bpftrace. The kernel's own drop reasons
 * have a number for each subsystem that was there when it was built, and none
 * for a module of another source.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM bhsec

#if !defined(BHSEC_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define BHSEC_TRACE_H

#include <linux/netdevice.h>
#include <linux/tracepoint.h>

#include "stats.h"

/*
 * @dev: the device, NULL for a datagram that is nobody's
 * @peer: the peer's name, or NULL
 * @spi: network byte order, 0 where no SA was come to
 * @outbound: on the way out
 * @cause: BHSEC_A_STATS_*
 * @count: packets
 */
TRACE_EVENT(bhsec_drop,
	TP_PROTO(const struct net_device *dev, const char *peer, __be32 spi,
		 bool outbound, unsigned int cause, unsigned int count),
	TP_ARGS(dev, peer, spi, outbound, cause, count),
	TP_STRUCT__entry(
		__array(char, dev, IFNAMSIZ)
		__array(char, peer, BHSEC_NAME_MAX + 1)
		__array(char, cause, 16)
		__field(u32, spi)
		__field(u32, count)
		__field(bool, outbound)
	),
	TP_fast_assign(
		strscpy(__entry->dev, dev ? dev->name : "", IFNAMSIZ);
		strscpy(__entry->peer, peer ?: "", BHSEC_NAME_MAX + 1);
		strscpy(__entry->cause, bhsec_cause_name(cause), 16);
		__entry->spi = be32_to_cpu(spi);
		__entry->count = count;
		__entry->outbound = outbound;
	),
	TP_printk("dev=%s peer=%s spi=0x%08x direction=%s cause=%s count=%u",
		  __entry->dev, __entry->peer, __entry->spi,
		  __entry->outbound ? "out" : "in",
		  __entry->cause, __entry->count)
);

#endif

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
