# SPDX-License-Identifier: GPL-2.0
"""What the Python tests share: namespaces, tunnels, traffic, captures.

A test program is a list of cases:

    from lib import *

    @case("what is promised")
    def _():
        check(...)

    main()

An exception fails its case and the next one runs. A process costs a tenth of
a second in an emulated guest, so namespaces, sockets and servers are made in
this one, and ip and bhsec are given many lines at once.
"""

from libcase import *
from libns import *
from libtunnel import *
from libtraffic import *
