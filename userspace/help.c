// SPDX-License-Identifier: GPL-2.0
/*
 * What --help prints.
 */
#include "help.h"

const char help_all[] =
"bhsec: ESP tunnels between base stations and their controllers\n"
"\n"
"  ip link add bh0 type bhsec          make a device (del: remove it)\n"
"  bhsec set DEVICE OPTION...          change its settings\n"
"  bhsec peer add|set|del DEVICE NAME  its remote sites\n"
"  bhsec sa add|del DEVICE NAME ...    their keys, one per direction\n"
"  bhsec apply FILE|DIRECTORY          devices and IKE peers by their files\n"
"  bhsec up|reload|down|check DEVICE   that for /etc/bhsec/DEVICE.conf\n"
"  bhsec show [DEVICE [peer NAME]]     everything, and what was counted\n"
"  bhsec explain DEVICE SRC DST        where a packet would go, or why not\n"
"  bhsec doctor                        what keeps tunnels from working\n"
"  bhsec top [DEVICE]                  rates and drops of peers, live\n"
"  bhsec monitor                       events as they happen\n"
"  bhsec genkey [CIPHER | --spi]       a new random key, or SPI\n"
"  bhsec -batch FILE|-                 many commands, one a line\n"
"\n"
"  bhsec VERB --help                   more about each, with an example\n"
"  bhsec --version\n"
"\n"
"Exit status: 0 done, 1 refused, 2 not understood. See also bhsec(8).\n"
"\n"
"Example:\n"
"  ip link add bh0 type bhsec\n"
"  bhsec peer add bh0 bts7 endpoint 192.0.2.7 selectors 10.7.0.0/24\n"
"  bhsec sa add bh0 bts7 in spi 0x1001 cipher aes-gcm-256 key-file in.key\n"
"  bhsec sa add bh0 bts7 out spi 0x2001 cipher aes-gcm-256 key-file out.key\n"
"  ip link set bh0 up\n";

const char help_set[] =
"bhsec set DEVICE OPTION...: change settings of a device\n"
"\n"
"  port N             UDP port, of the peers too unless they name one (4500)\n"
"  dev IFNAME|any     underlay device or VRF for outer packets\n"
"  fwmark N           mark of outer packets\n"
"  dscp copy|0..63    DSCP of outer packets\n"
"  df copy|set|clear  DF bit of outer IPv4 packets (set)\n"
"  local ADDR         outer source address; 0.0.0.0 or :: for any\n"
"  window N           anti-replay window of SAs added from now on (4096)\n"
"  if-id N [shared]   take keys from an IKE daemon: XFRM states and policies of\n"
"                     this if_id, 0 for none; shared with an xfrm interface\n"
"\n"
"Example:\n"
"  bhsec set bh0 dev eth1 local 192.0.2.1 window 16384\n"
"  bhsec set bh0 if-id 42\n";

const char help_peer[] =
"bhsec peer add DEVICE NAME [OPTION...]: make a remote site\n"
"bhsec peer set DEVICE NAME OPTION...:   change it; what is not given stays\n"
"bhsec peer del DEVICE NAME:             delete it and its SAs\n"
"\n"
"  endpoint ADDR[:PORT]        where it is; [ADDR]:PORT for IPv6, ADDR%DEV if\n"
"                              link-local\n"
"  encap udp|esp               ESP in UDP (udp), or as IP protocol 50\n"
"  selectors PFX[,PFX]...      inner prefixes behind it; none for none\n"
"  local-selectors PFX[,...]   inner prefixes on this side; any for all\n"
"  roam on|off                 follow the source of authentic packets (off with\n"
"                              an endpoint, on without)\n"
"  entropy on|off              a UDP source port for each inner flow, between\n"
"                              bhsec peers (off)\n"
"  keepalive SEC               after so long a silence, for NATs; 0 for never\n"
"\n"
"Lists replace those that were there before.\n"
"\n"
"Example:\n"
"  bhsec peer add bh0 bts7 endpoint 192.0.2.7 selectors 10.7.0.0/24,fd07::/64\n";

const char help_sa[] =
"bhsec sa add DEVICE PEER in|out spi N cipher C key-file FILE|- [OPTION...]\n"
"bhsec sa del DEVICE PEER in|out spi N\n"
"\n"
"  spi N                     256 to 4294967295, decimal or 0x\n"
"  cipher C                  aes-gcm-128, aes-gcm-256 (the default),\n"
"                            chacha20-poly1305, aes-ccm-128, aes-ccm-256; also\n"
"                            aes-cbc-128-sha256 (or 256, sha384, sha512),\n"
"                            aes-gmac-128, aes-gmac-256, null-sha256\n"
"  key-file FILE|-           key and salt, hexadecimal or base64; of two keys\n"
"                            that of the MAC is the second\n"
"  key K                     the key itself, in a batch only\n"
"  esn on|off                64-bit sequence numbers (on)\n"
"  window N                  anti-replay window, inbound\n"
"  dscp LIST                 classes that it carries, outbound: 46,0-7,cs6\n"
"  seq N                     last number used before it came here (0)\n"
"  soft-packets|bytes|seconds N  when an event asks for a new SA\n"
"  hard-packets|bytes|seconds N  when it stops\n"
"\n"
"An outbound SA is used at once. For new keys without a lost packet add 'in'\n"
"at both ends first, then 'out', then delete the old ones.\n"
"\n"
"Example:\n"
"  bhsec genkey > bts7.key\n"
"  bhsec sa add bh0 bts7 in spi 0x1001 cipher aes-gcm-256 key-file bts7.key\n";

const char help_apply[] =
"bhsec apply FILE|DIRECTORY [--dry-run]: make a device, its addresses, routes and\n"
"strongSwan's connections what DEVICE.conf says, or what each *.conf says. What\n"
"does not differ is not touched; with a mistake, or if part of it fails, nothing\n"
"is changed. See bhsec.conf(5).\n"
"\n"
"  --dry-run  print the difference and change nothing\n"
"\n"
"Example:\n"
"  bhsec apply /etc/bhsec --dry-run\n";

const char help_up[] =
"bhsec up DEVICE [--dry-run]: apply /etc/bhsec/DEVICE.conf\n"
"\n"
"  --dry-run  print the difference and change nothing\n"
"\n"
"Example:\n"
"  bhsec up bh0\n";

const char help_reload[] =
"bhsec reload DEVICE [--dry-run]: apply /etc/bhsec/DEVICE.conf, and have the IKE\n"
"daemon read certificates, keys and lists of revoked ones anew\n"
"\n"
"  --dry-run  print the difference and change nothing\n"
"\n"
"Example:\n"
"  bhsec reload bh0\n";

const char help_down[] =
"bhsec down DEVICE [--dry-run]: delete a device, what strongSwan was told of it\n"
"and the SAs with its peers\n"
"\n"
"  --dry-run  print the difference and change nothing\n"
"\n"
"Example:\n"
"  bhsec down bh0\n";

const char help_check[] =
"bhsec check DEVICE|FILE|DIRECTORY: tell all mistakes of its files, if any\n"
"\n"
"Example:\n"
"  bhsec check bh0\n";

const char help_show[] =
"bhsec show [DEVICE [peer NAME]] [-j] [--stats [all]]: settings, state, counters\n"
"bhsec show [DEVICE [peer NAME]] --openmetrics: metrics, for Prometheus\n"
"bhsec show [DEVICE [peer NAME]] --why [-j]: who drops packets now, and why\n"
"\n"
"  -j, --json     as JSON, with all counters\n"
"  --stats        the counters of SAs too; with all, those that are zero as well\n"
"  --openmetrics  of devices and peers, up or not: a peer is up that has keys, a\n"
"                 path and was heard, unless it left packets unanswered for 180 s\n"
"  --why          counts for a second: whose drops have grown, by how much, and\n"
"                 for each cause a sentence of advice\n"
"\n"
"It prints no keys, and without CAP_NET_ADMIN no SPIs, sequence numbers and\n"
"endpoints; dev, fwmark and a link-local endpoint's link need it where the\n"
"underlay is.\n"
"\n"
"Example:\n"
"  bhsec show bh0 peer bts7 --stats\n"
"  bhsec show --why\n"
"  bhsec show --openmetrics | promtool check metrics\n";

const char help_explain[] =
"bhsec explain DEVICE SRC DST [OPTION...] [-j]: where a packet would go, by the\n"
"look-ups that one makes: route, peer, SA, outer addresses, mtu. Or the counter\n"
"that would drop it, and what to do. Nothing is sent.\n"
"bhsec explain DEVICE --in SPI [-j]: what came by an inbound SA, or did not\n"
"\n"
"  proto P     protocol of the packet, by number or name (udp)\n"
"  dport N     its destination port\n"
"  dscp N      its class, 0 to 63 or be, ef, csN, afNN (0)\n"
"  size N      its length in bytes, IP header included\n"
"  -j, --json  as JSON\n"
"\n"
"Example:\n"
"  bhsec explain bh0 10.1.0.1 10.7.0.1 dscp ef size 1400\n"
"  bhsec explain bh0 --in 0x1001\n";

const char help_doctor[] =
"bhsec doctor [-j]: what keeps tunnels from working before their first packet,\n"
"each in a sentence with the command that helps: the module and its headers,\n"
"UDP ports, routes, rp_filter, firewall, MTU, clock. Nothing is changed.\n"
"\n"
"  -j, --json  as JSON\n"
"\n"
"Exit status: 0 nothing found, 1 something found. As root it sees all.\n"
"\n"
"Example:\n"
"  sudo bhsec doctor\n";

const char help_top[] =
"bhsec top [DEVICE] [OPTION...]: peers by what they carry and drop now: packets\n"
"and inner bits a second, drops, age of the newest keys, last packet received\n"
"\n"
"  --interval SECONDS  from one look to the next, 1 to 3600 (2)\n"
"  --sort COLUMN       name, in, out, drops, age or last (in)\n"
"\n"
"The keys n r t d a l sort by these, pressed again the other way round; arrows\n"
"and PgUp, PgDn scroll, q ends. '!' marks a peer that is down, '?' one that is\n"
"silent. What is no terminal gets lines of text, and so does one whose cursor\n"
"does not move.\n"
"\n"
"Example:\n"
"  bhsec top bh0 --sort drops\n"
"  bhsec top --interval 60 >> rates.txt\n";

const char help_monitor[] =
"bhsec monitor [-j | --journal]: print events as they happen, one a line: bad\n"
"packets, ends of SAs, and what is configured by hand or by an IKE daemon\n"
"\n"
"  -j, --json  as JSON\n"
"  --journal   write them to systemd's journal instead, each with its fields\n"
"\n"
"Example:\n"
"  bhsec monitor -j | jq 'select(.event == \"soft\")'\n"
"  systemctl enable --now bhsec-journal && journalctl -f BHSEC_PEER=bts7\n";

const char help_genkey[] =
"bhsec genkey [CIPHER | --spi]: print a new random key, salt included, in base64\n"
"\n"
"  --spi  a random SPI instead\n"
"\n"
"CIPHER is one that sa add takes, aes-gcm-256 if none is given.\n"
"\n"
"Draw SPIs at random, one for each SA: a forged ICMP error has to guess them,\n"
"and hardly any is one that the host's own IPsec has or will draw.\n"
"\n"
"Example:\n"
"  umask 077; bhsec genkey > bts7.key; spi=$(bhsec genkey --spi); echo $spi\n"
"  bhsec sa add bh0 bts7 in spi $spi cipher aes-gcm-256 key-file bts7.key\n";

const char help_batch[] =
"bhsec -batch FILE|-: do many commands, one a line, without the word bhsec\n"
"\n"
"'#' begins a comment. The first line that is refused is named and ends the\n"
"batch. Here a key may stand in the command: key K in place of key-file FILE.\n"
"\n"
"Example:\n"
"  printf 'peer add bh0 bts7\\npeer add bh0 bts8\\n' | bhsec -batch -\n";
