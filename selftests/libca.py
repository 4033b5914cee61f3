# SPDX-License-Identifier: GPL-2.0
"""Certificates that IKE daemons know each other by, and who signs them.

    ca = Authority("operator")
    gateway = ca.certify("gw.example")
    ca.revoke(gateway)
    pem(ca.crl())
"""

import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def pem(thing):
    return thing.public_bytes(serialization.Encoding.PEM)


class Identity:
    """A certificate for a name, and its key."""

    def __init__(self, name, certificate, key):
        self.name, self.certificate = name, certificate
        self.key = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


class Authority:
    """A CA that certifies names and revokes what it certified."""

    DAY = datetime.timedelta(days=1)

    def __init__(self, name):
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.revoked = []
        self.crls = 0
        self.certificate = self.sign(
            self.builder(self.name, self.key.public_key())
            .add_extension(x509.BasicConstraints(True, None), True)
            .add_extension(self.usage("key_cert_sign", "crl_sign"), True))

    @staticmethod
    def usage(*allowed):
        every = """digital_signature content_commitment key_encipherment
        data_encipherment key_agreement key_cert_sign crl_sign encipher_only
        decipher_only""".split()
        return x509.KeyUsage(**{use: use in allowed for use in every})

    @staticmethod
    def now():
        return datetime.datetime.now(datetime.timezone.utc).replace(
            microsecond=0, tzinfo=None)

    def builder(self, name, public_key):
        return (x509.CertificateBuilder().subject_name(name)
                .issuer_name(self.name).public_key(public_key)
                .serial_number(x509.random_serial_number())
                .not_valid_before(self.now() - self.DAY)
                .not_valid_after(self.now() + 365 * self.DAY)
                .add_extension(
                    x509.SubjectKeyIdentifier.from_public_key(public_key), False)
                .add_extension(
                    x509.AuthorityKeyIdentifier.from_issuer_public_key(
                        self.key.public_key()), False))

    def sign(self, builder):
        return builder.sign(self.key, hashes.SHA256())

    def certify(self, name):
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        return Identity(name, self.sign(
            self.builder(subject, key.public_key())
            .add_extension(x509.BasicConstraints(False, None), True)
            .add_extension(self.usage("digital_signature"), True)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]),
                           False)), key)

    def revoke(self, *identities):
        self.revoked += [who.certificate.serial_number for who in identities]

    def crl(self):
        """The list as it is now; each is newer than the last one."""
        self.crls += 1
        builder = (x509.CertificateRevocationListBuilder()
                   .issuer_name(self.name).last_update(self.now() - self.DAY)
                   .next_update(self.now() + self.DAY)
                   .add_extension(x509.CRLNumber(self.crls), False)
                   .add_extension(
                       x509.AuthorityKeyIdentifier.from_issuer_public_key(
                           self.key.public_key()), False))
        for serial in self.revoked:
            builder = builder.add_revoked_certificate(
                x509.RevokedCertificateBuilder().serial_number(serial)
                .revocation_date(self.now() - self.DAY).build())
        return self.sign(builder)
