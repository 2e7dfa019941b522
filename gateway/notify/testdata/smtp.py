# A mail server on two ports of this machine, with aiosmtpd: STARTTLS on the first, TLS from the start on the second. It wants
# the user "gw" with the password "pa55w0rd", answers RCPT of r450@… with 450, and says each mail as a line of JSON.
import asyncio
import json
import logging
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult


logging.disable(logging.ERROR)


class Handler:
    async def handle_RCPT(self, server, session, envelope, address, options):
        code = address.split("@")[0][1:]
        if address[0] == "r" and code.isdigit():
            return f"{code} 4.0.0 as you asked, {address}"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        print(json.dumps({"from": envelope.mail_from, "to": envelope.rcpt_tos,
                          "user": session.auth_data.login.decode(), "data": envelope.content.decode()}), flush=True)
        return "250 2.0.0 Ok: queued as 4F1B2C"


def authenticator(server, session, envelope, mechanism, data):
    return AuthResult(success=data.login == b"gw" and data.password == b"pa55w0rd", handled=False, auth_data=data)


def factory(secure, context):
    return lambda: SMTP(Handler(), hostname="localhost", tls_context=None if secure else context, require_starttls=not secure,
                        auth_required=True, auth_require_tls=not secure, authenticator=authenticator)


async def main():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[1], sys.argv[2])
    loop = asyncio.get_running_loop()
    plain = await loop.create_server(factory(False, context), "127.0.0.1", 0)
    secure = await loop.create_server(factory(True, context), "127.0.0.1", 0, ssl=context)
    print(plain.sockets[0].getsockname()[1], secure.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)  # until the test lets go


asyncio.run(main())
