# SPDX-License-Identifier: GPL-2.0
# make            the module for the running kernel, and the tool
# make install    both, with man page, guides, completion, headers and systemd's
#                 units (DESTDIR, PREFIX)
# make deb        Debian packages of both, in dist/: bhsec-dkms and bhsec
# make dist       a tarball of the source there, and what it consists of (SPDX)
# make test       selftests on Debian's kernels in QEMU [KERNEL=6.1] [T="rekey roam"]
#                 [CRYPTO=cryptd|pcrypt: with a cipher that answers later]
#                 [STALL=1: in a guest whose CPUs stand still at times]
# make shell      a prompt in such a guest, the demo's topology up [KERNEL=7.2]
# make demo       the product at work, in one screen
# make bench      instructions per packet beside other tunnels [KERNEL=7.2]
#                 [MODES="xfrm bhsec"] [WORKLOADS="tcp1 udp64"] [JOBS=1]
#                 [UL=nic: with UDP segmentation offload] [SMP=2: on 1 and 2 CPUs]
# make profile    where a kernel's instructions go, by symbol [KERNEL=7.2]
#                 [MODE=bhsec] [WORKLOAD=tcp1] [SYMBOL=post: each of one symbol's]
# make generated  what is made of kmod/bhsec.yaml: kmod/uapi/bhsec.h, and the
#                 tables of userspace/doc/counters.md
# make update     take newer kernels and tools, where Debian has them

PREFIX ?= /usr/local
KVER ?= $(shell uname -r)
KDIR ?= /lib/modules/$(KVER)/build
VM := selftests/vm

units := lib/systemd/system
files := bin/bhsec \
	share/man/man8/bhsec.8 \
	share/man/man5/bhsec.conf.5 \
	share/bash-completion/completions/bhsec \
	include/linux/bhsec.h \
	share/bhsec/bhsec.yaml \
	share/bhsec/alerts.yml \
	share/bhsec/dashboard.json \
	libexec/bhsec-http \
	$(addprefix share/doc/bhsec/,$(notdir $(wildcard userspace/doc/*.md))) \
	$(addprefix $(units)/,bhsec-metrics.socket bhsec-metrics@.service \
		bhsec-textfile.timer bhsec-textfile.service bhsec-journal.service \
		bhsec@.service)
# What each of these services is held to.
hardened := $(addprefix $(units)/,bhsec-metrics@.service.d \
	bhsec-textfile.service.d bhsec-journal.service.d bhsec@.service.d)
prefix := $(DESTDIR)$(PREFIX)
extra := $(DESTDIR)/lib/modules/$(KVER)/extra

all: module tool

ifdef KERNEL
module:
	$(VM)/packages
	$(VM)/build $(KERNEL)
else
module:
	@test -e $(KDIR)/Makefile || { echo "No headers of Linux $(KVER) are \
	installed: the module needs them, 'make tool' does not." >&2; exit 1; }
	$(MAKE) -C $(KDIR) M=$(CURDIR) modules
endif

tool:
	$(MAKE) -C userspace

install:
	@test -e bhsec.ko -a -e userspace/bhsec || \
		{ echo "Nothing is built yet: run 'make' first." >&2; exit 1; }
	$(MAKE) install-tool
	install -D -m 644 bhsec.ko $(extra)/bhsec.ko
	$(if $(DESTDIR),,depmod $(KVER))

install-tool:
	install -D -m 755 userspace/bhsec $(prefix)/bin/bhsec
	install -D -m 644 userspace/bhsec.8 $(prefix)/share/man/man8/bhsec.8
	install -D -m 644 userspace/bhsec.conf.5 \
		$(prefix)/share/man/man5/bhsec.conf.5
	install -D -m 644 userspace/bhsec.bash \
		$(prefix)/share/bash-completion/completions/bhsec
	install -D -m 644 kmod/uapi/bhsec.h $(prefix)/include/linux/bhsec.h
	install -d $(prefix)/share/bhsec $(prefix)/share/doc/bhsec \
		$(addprefix $(prefix)/,$(hardened))
	install -m 644 kmod/bhsec.yaml userspace/alerts.yml \
		userspace/dashboard.json $(prefix)/share/bhsec
	install -m 644 userspace/doc/*.md $(prefix)/share/doc/bhsec
	install -D -m 755 userspace/bhsec-http $(prefix)/libexec/bhsec-http
	for unit in userspace/units/bhsec*; do \
		sed 's|/usr/local/|$(PREFIX)/|' $$unit | install -m 644 \
			/dev/stdin $(prefix)/$(units)/$${unit##*/} || exit; \
	done
	for dir in $(hardened); do \
		install -m 644 userspace/units/hardening.conf $(prefix)/$$dir || exit; \
	done

uninstall:
	rm -f $(extra)/bhsec.ko $(addprefix $(prefix)/,$(files)) \
		$(addprefix $(prefix)/,$(addsuffix /hardening.conf,$(hardened)))
	-rmdir --ignore-fail-on-non-empty $(extra) $(prefix)/share/bhsec \
		$(prefix)/share/doc/bhsec \
		$(addprefix $(prefix)/,$(hardened))
	$(if $(DESTDIR),,depmod $(KVER))

deb dist:
	@userspace/debian/build $@ dist

test:
	@$(VM)/packages
	@$(VM)/test --kernel "$(KERNEL)" --test "$(T)" --crypto "$(CRYPTO)" \
		$(if $(STALL),--stall)

shell:
	@$(VM)/packages
	@$(MAKE) -s tool
	@$(VM)/run --tty --kernel $(or $(KERNEL),6.1) 'modprobe bhsec; \
		! test -x selftests/demo/topology || selftests/demo/topology up; \
		exec bash -i'

demo:
	@$(VM)/packages
	@$(MAKE) -s tool
	@selftests/demo/run

bench:
	@$(VM)/packages
	@selftests/bench/run --kernel "$(KERNEL)" --modes "$(MODES)" \
		--workloads "$(WORKLOADS)" $(addprefix --underlay ,$(UL)) \
		$(addprefix --jobs ,$(JOBS)) $(if $(SMP),--smp)

profile:
	@$(VM)/packages
	@selftests/bench/profile --kernel $(or $(KERNEL),7.2) \
		$(addprefix --symbol ,$(SYMBOL)) \
		--bench $(or $(MODE),bhsec) $(or $(WORKLOAD),tcp1)

generated:
	@$(VM)/packages
	@bash -c '. $(VM)/lib.sh; need_source; need_tools; \
		export PYTHONPATH=$$cache/tools/usr/lib/python3/dist-packages; \
		export KSFT_DIR=$$linux/tools/testing/selftests/kselftest; \
		exec /usr/bin/python3 selftests/generated.py --write'

update:
	@$(VM)/packages
	@$(VM)/update

clean:
	$(MAKE) -C userspace clean
	find . -name '*.o' -o -name '*.ko' -o -name '*.mod' -o -name '*.mod.c' \
		-o -name '.*.cmd' -o -name Module.symvers -o -name modules.order | \
		xargs rm -f

.PHONY: all module tool install install-tool uninstall deb dist test shell demo bench profile generated update clean
