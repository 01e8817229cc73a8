/** The page that shows the API and lets you try it, as whom you are signed in. */

const { schema, csrf } = document.body.dataset;

function withCsrf(request) {
  if (new URL(request.url, location.href).origin === location.origin) request.headers["X-CSRFToken"] = csrf;
  return request;
}

window.SwaggerUIBundle({
  url: schema,
  domNode: document.getElementById("docs"),
  requestInterceptor: withCsrf,
  deepLinking: true,
  docExpansion: "list",
  defaultModelsExpandDepth: 0,
  validatorUrl: null,
});
