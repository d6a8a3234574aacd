"""The pages. `new-search` is on its way to everybody, `new-home` is for the staff so far."""

from django.contrib.auth import authenticate, login
from django.db.models import Q
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render

from progflags.contrib.django.decorators import flag_required

from .models import Book


def home(request: HttpRequest) -> HttpResponse:
    return render(request, "home.html")


def search(request: HttpRequest) -> JsonResponse:
    words = request.GET["q"]
    if request.flags.is_enabled("new-search"):
        return JsonResponse({"by": "new", "found": new_search(words)})
    return JsonResponse({"by": "old", "found": list(Book.objects.filter(title__icontains=words).values_list("title", flat=True))})


def new_search(words: str) -> list[str]:
    """Finds authors, too, and puts them first; nobody thought of books that have none."""
    found = Book.objects.filter(Q(title__icontains=words) | Q(author__icontains=words))
    return [book.title for book in sorted(found, key=lambda book: words.lower() not in book.author.lower())]


@flag_required("new-home")  # 404 for everybody else
def preview(request: HttpRequest) -> HttpResponse:
    return render(request, "home.html")


def sign_in(request: HttpRequest) -> HttpResponse:
    """As short as a sign-in can be: yours has a form."""
    user = authenticate(request, username=request.GET["name"], password=request.GET["password"])
    if user is None:
        return HttpResponse(status=403)
    login(request, user)
    return HttpResponse("welcome")
