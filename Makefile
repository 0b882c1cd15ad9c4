# dynyolo - one Makefile. `make help` lists the targets.
#
# The folder is the registry: a file in src/ops/, src/passes/, src/model/modules/, ... is known by being there. For each such
# folder a header of one line a file, `X(name)`, is generated under build/gen/ and read by that folder's table.

.DEFAULT_GOAL := all
CC       ?= cc
B        ?= build
MODE     ?= release
PREFIX   ?= /usr/local
JOBS     ?= $(shell nproc)
# V=1 prints whole command lines.
Q        := $(if $(V),,@)

PACKAGES := libdnnl-dev libyaml-dev libjansson-dev libzip-dev zlib1g-dev libjpeg-dev libpng-dev libwebp-dev libtiff-dev \
            libcairo2-dev libstb-dev libcmocka-dev fonts-dejavu-core gcc make pkg-config
CHECK_PACKAGES := clang libomp-dev clang-format clang-tidy libclang-rt-dev

VERSION  := 0.1.0
LIBS     := yaml-0.1 jansson libzip zlib libjpeg libpng libwebp libwebpdemux libtiff-4 cairo
# The C standard library of a threaded program, and oneDNN, whose Debian package has no .pc file.
LDLIBS   += $(shell pkg-config --libs $(LIBS) 2>/dev/null) -ldnnl -lm -pthread
CPPFLAGS += -Iinclude -Isrc -I$(B)/gen -D_GNU_SOURCE -DDYN_VERSION='"$(VERSION)"' $(shell pkg-config --cflags $(LIBS) 2>/dev/null)
WARN     = -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wno-unused-parameter $(if $(findstring clang,$(CC)),-Wno-pass-failed)
CFLAGS_release := -O2 -g -DNDEBUG
CFLAGS_debug   := -O1 -g
CFLAGS_asan    := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
CFLAGS_tsan    := -O1 -g -fsanitize=thread
CFLAGS_fuzz    := -O1 -g -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
ALL_CFLAGS = -std=c11 -fPIC -fvisibility=hidden -fopenmp $(WARN) $(CFLAGS_$(MODE)) $(EXTRA) $(CFLAGS)

# ---- registries -------------------------------------------------------------------------------------------------
REGISTRIES := ops model/modules backend/cpu data/augment train/optim image/codecs cli
stems       = $(sort $(basename $(notdir $(wildcard src/$(1)/[a-zA-Z]*.c))))
gen_name    = $(B)/gen/$(subst /,_,$(1)).gen.h
GEN        := $(foreach r,$(REGISTRIES),$(call gen_name,$(r)))

# Written anew only when a file has come or gone, so that nothing is rebuilt in vain. A leading underscore or a name with
# "util" keeps a file out of the table: it helps its neighbours.
define registry
$(call gen_name,$(1)): FORCE
	@mkdir -p $$(@D); printf '' > $$@.tmp; for n in $(filter-out %_util main screen,$(call stems,$(1))); do echo "X($$$$n)" >> $$@.tmp; done; \
	cmp -s $$@.tmp $$@ && rm $$@.tmp || mv $$@.tmp $$@
endef
$(foreach r,$(REGISTRIES),$(eval $(call registry,$(r))))

# Stock model files become byte arrays: X("yolov8.yaml", its bytes, 0), read by src/model/stock.c.
STOCK    := $(sort $(wildcard src/model/stock/*.yaml))
GEN      += $(B)/gen/model_stock.gen.h
$(B)/gen/model_stock.gen.h: $(STOCK) Makefile
	@mkdir -p $(@D); for f in $(STOCK); do echo "X(\"$$(basename $$f)\","; od -An -v -tu1 $$f | sed 's/[0-9][0-9]*/&,/g'; echo '0)'; done > $@

# ---- objects ----------------------------------------------------------------------------------------------------
LIB_SRC  := $(sort $(shell find src -name '*.c' -not -path 'src/cli/*' -not -path 'src/backend/cpu/isa/*'))
CLI_SRC  := $(sort $(wildcard src/cli/*.c))
# Kernels under isa/ are compiled once per level: ISA_NAME(f) becomes avx512_f, and the backend picks what the CPU has.
ISA_SRC  := $(sort $(wildcard src/backend/cpu/isa/*.c))
ISAS     := sse2 avx2 avx512 avx512bf16 amx
ISA_sse2 := -msse2
ISA_avx2 := -mavx2 -mfma -mf16c
ISA_avx512 := $(ISA_avx2) -mavx512f -mavx512bw -mavx512dq -mavx512vl
ISA_avx512bf16 := $(ISA_avx512) -mavx512bf16
ISA_amx  := $(ISA_avx512bf16) -mamx-tile -mamx-bf16
LIB_OBJ  := $(LIB_SRC:%.c=$(B)/%.o) $(foreach i,$(ISAS),$(ISA_SRC:%.c=$(B)/%.$(i).o))
CLI_OBJ  := $(CLI_SRC:%.c=$(B)/%.o)
TESTS    := $(sort $(basename $(notdir $(wildcard tests/test_*.c))))
TEST_BIN := $(TESTS:%=$(B)/tests/%)
# What has threads of its own.
TSAN_TESTS := test_work test_data
FUZZERS  := $(patsubst %.c,$(B)/%,$(sort $(wildcard fuzz/fuzz_*.c)))

.PHONY: all help FORCE deps demo test check fuzz leaks tsan bench install clean format docs size
all: $(B)/dynyolo $(B)/libdynyolo.a $(B)/libdynyolo.so $(B)/dynyolo.pc

help:
	@sed -n 's/^## //p' Makefile

## make          build the command, the libraries and the pkg-config file in build/
## make deps     install the Debian packages that the build needs (or print the line that does)
## make demo     set up, build, draw a data set, train, compare two dynamic variants, validate, predict
## make test     set up, build and run the tests
## make check    everything that must be green before a commit lands: both compilers, format, tidy, rooms, sanitizers, fuzz
## make bench    time against the peers side by side, into bench-out/: ROWS='infer* memory' ROUNDS=3 (bench/table.py)
## make fuzz     throw FUZZ_SECONDS (default 60) of damaged input at each reader
## make leaks    every command under the leak check of AddressSanitizer
## make tsan     the loader's tests and a short training under ThreadSanitizer
## make install  into PREFIX (default /usr/local)

$(B)/%.o: %.c $(GEN)
	@mkdir -p $(@D)
	$(if $(V),,@echo '  CC  $<')
	$(Q)$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -c $< -o $@

# No fuzzer runs a kernel; instrumented, they take most of the time of its build.
ISA_EXTRA := $(if $(filter release,$(MODE)),-O3) $(if $(filter fuzz,$(MODE)),-fno-sanitize=all)
define isa_rule
$(B)/%.$(1).o: %.c $(GEN)
	@mkdir -p $$(@D)
	$(if $(V),,@echo '  CC  $$< $(1)')
	$(Q)$(CC) $(CPPFLAGS) $(ALL_CFLAGS) $(ISA_EXTRA) -ffp-contract=fast $(ISA_$(1)) -DISA=$(1) -DISA_$(1) -MMD -MP -c $$< -o $$@
endef
$(foreach i,$(ISAS),$(eval $(call isa_rule,$(i))))

$(B)/libdynyolo.a: $(LIB_OBJ)
	@rm -f $@
	$(Q)ar rcs $@ $^
$(B)/libdynyolo.so: $(LIB_OBJ)
	$(if $(V),,@echo '  LD  $@')
	$(Q)$(CC) $(ALL_CFLAGS) -shared -Wl,-soname,libdynyolo.so.0 -o $@ $^ $(LDFLAGS) $(LDLIBS)
$(B)/dynyolo: $(CLI_OBJ) $(B)/libdynyolo.a
	$(if $(V),,@echo '  LD  $@')
	$(Q)$(CC) $(ALL_CFLAGS) -o $@ $^ $(LDFLAGS) $(LDLIBS)
$(B)/tests/%: $(B)/tests/%.o $(B)/libdynyolo.a
	$(if $(V),,@echo '  LD  $@')
	$(Q)$(CC) $(ALL_CFLAGS) -o $@ $^ $(LDFLAGS) $(LDLIBS) -lcmocka
$(B)/bench/%: $(B)/bench/%.o $(B)/libdynyolo.a
	$(CC) $(ALL_CFLAGS) -o $@ $^ $(LDFLAGS) $(LDLIBS)
$(B)/fuzz/%: $(B)/fuzz/%.o $(B)/src/cli/words_util.o $(B)/libdynyolo.a
	$(CC) $(ALL_CFLAGS) -fsanitize=fuzzer -o $@ $^ $(LDFLAGS) $(LDLIBS)
$(B)/dynyolo.pc: Makefile
	@mkdir -p $(@D)
	@printf '%s\n' 'prefix=$(PREFIX)' 'libdir=$${prefix}/lib' 'includedir=$${prefix}/include' '' 'Name: dynyolo' \
	  'Description: YOLOv8 with dynamic modules' 'Version: $(VERSION)' 'Requires.private: $(LIBS)' \
	  'Libs: -L$${libdir} -ldynyolo' 'Libs.private: -ldnnl -lm -fopenmp -pthread' 'Cflags: -I$${includedir}' > $@
.SECONDARY: $(TEST_BIN:%=%.o) $(FUZZERS:%=%.o)

deps:
	@sh tools/deps.sh $(PACKAGES)

tests: $(TEST_BIN) $(B)/dynyolo
test: deps
	@$(MAKE) -j$(JOBS) --no-print-directory all tests
	@B=$(B) sh tests/run.sh $(TEST_BIN)

demo: deps
	@$(MAKE) -j$(JOBS) --no-print-directory all
	@B=$(B) sh tools/demo.sh

bench: all $(B)/bench/bench_data
	@B=$(B) python3 bench/table.py --rows '$(or $(ROWS),*)' --rounds $(or $(ROUNDS),5)

fuzzers: $(FUZZERS)
fuzz:
	@$(MAKE) -j$(JOBS) --no-print-directory CC=clang MODE=fuzz B=build-fuzz fuzzers
	@B=build-fuzz sh fuzz/run.sh $(FUZZERS:$(B)/%=build-fuzz/%)

leaks:
	@$(MAKE) -j$(JOBS) --no-print-directory MODE=asan B=build-asan build-asan/dynyolo
	@sh tools/leaks.sh build-asan/dynyolo
tsan:
	@$(MAKE) -j$(JOBS) --no-print-directory CC=clang MODE=tsan B=build-tsan build-tsan/dynyolo $(TSAN_TESTS:%=build-tsan/tests/%)
	@sh tools/tsan.sh build-tsan $(TSAN_TESTS)

install: all
	install -Dm755 $(B)/dynyolo $(DESTDIR)$(PREFIX)/bin/dynyolo
	install -Dm644 include/dynyolo.h $(DESTDIR)$(PREFIX)/include/dynyolo.h
	install -Dm644 $(B)/libdynyolo.a $(DESTDIR)$(PREFIX)/lib/libdynyolo.a
	install -Dm755 $(B)/libdynyolo.so $(DESTDIR)$(PREFIX)/lib/libdynyolo.so.0
	ln -sf libdynyolo.so.0 $(DESTDIR)$(PREFIX)/lib/libdynyolo.so
	install -Dm644 $(B)/dynyolo.pc $(DESTDIR)$(PREFIX)/lib/pkgconfig/dynyolo.pc
	sed -i 's|^prefix=.*|prefix=$(PREFIX)|' $(DESTDIR)$(PREFIX)/lib/pkgconfig/dynyolo.pc

# Everything that must be green before a commit lands. Whole networks over whole data sets take an hour under the
# sanitizers and run nothing that the other tests do not run there on small ones.
SANITIZED = $(filter-out %/test_reference %/test_train_trace,$(TEST_BIN))
CHECK_MAKE = $(MAKE) -j$(JOBS) --no-print-directory
check: deps
	@sh tools/deps.sh $(CHECK_PACKAGES)
	@echo '== format'; git ls-files '*.c' '*.h' | xargs clang-format --dry-run -Werror
	@echo '== rooms'; sh tools/rooms.sh
	@echo '== gcc -Werror'; $(CHECK_MAKE) CC=gcc B=build-gcc EXTRA=-Werror all tests >/dev/null
	@echo '== clang -Werror'; $(CHECK_MAKE) CC=clang B=build-clang EXTRA=-Werror all tests >/dev/null
	@echo '== tidy'; $(CHECK_MAKE) B=build-gcc tidy
	@echo '== tests under address and undefined-behaviour sanitizers'
	@$(CHECK_MAKE) MODE=asan B=build-asan tests >/dev/null
	@B=build-asan sh tests/run.sh $(SANITIZED:$(B)/%=build-asan/%)
	@echo '== leaks'; sh tools/leaks.sh build-asan/dynyolo
	@echo '== fuzz'; $(CHECK_MAKE) fuzz FUZZ_SECONDS=$(or $(FUZZ_SECONDS),10)
	@echo '== docs'; sh tools/docs_check.sh build-gcc/dynyolo
	@echo '== tests'; B=build-gcc sh tests/run.sh $(TEST_BIN:$(B)/%=build-gcc/%)
	@echo '== kills'; B=build-gcc KILLS=$(or $(KILLS),4) sh tests/kill.sh

TIDY := $(LIB_SRC:%=tidy/%) $(CLI_SRC:%=tidy/%)
.PHONY: tidy $(TIDY)
tidy: $(TIDY)
$(TIDY): tidy/%: $(GEN)
	@clang-tidy --quiet $* -- -std=c11 -fopenmp $(CPPFLAGS) -DNDEBUG 2>/dev/null

format:
	clang-format -i $$(git ls-files '*.c' '*.h')
# The reference of modes and options, from what the command says of itself.
docs: $(B)/dynyolo
	sh tools/docs_commands.sh $(B)/dynyolo > docs/commands.md
size:
	@for d in src/*/; do printf '%7d  %s\n' $$(cat $$(find $$d -name '*.[ch]') | wc -l) $$d; done
clean:
	rm -rf build build-*

-include $(LIB_OBJ:.o=.d) $(CLI_OBJ:.o=.d) $(TEST_BIN:%=%.d) $(FUZZERS:%=%.d)
